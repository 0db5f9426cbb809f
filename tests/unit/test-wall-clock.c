/* SPDX-License-Identifier: MIT */
#include "daemon/wall-clock.h"

#include "shared/cleanup.h"
#include "test.h"

#define SEC INT64_C(1000000)

/* By how much a clock that is observed once a second was set. */
TEST(a_clock_that_is_set)
{
    static const struct {
        const char *name;
        int64_t adjustment, step;
    } cases[] = {
        {"runs on", 0, 0},
        {"is adjusted", SEC / 2, 0},
        {"is adjusted backwards", -SEC / 2, 0},
        {"nearly set", CLOCK_STEP_USEC - 1, 0},
        {"nearly set back", 1 - CLOCK_STEP_USEC, 0},
        {"is set", CLOCK_STEP_USEC, CLOCK_STEP_USEC},
        {"is set back", -CLOCK_STEP_USEC, -CLOCK_STEP_USEC},
        {"is set by years", 86400 * 365 * 10 * SEC, 86400 * 365 * 10 * SEC},
        {"is set back by years", -86400 * 365 * 10 * SEC, -86400 * 365 * 10 * SEC},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        uint64_t realtime = CLOCK_FLOOR_USEC, boottime = 5 * SEC;
        struct wall_clock clock = {};

        CONTEXT("%s", cases[i].name);
        CHECK_EQ(wall_clock_observe(&clock, realtime, boottime), 0); /* nothing to compare with */
        for (unsigned second = 0; second < 3; second++)
            CHECK_EQ(wall_clock_observe(&clock, realtime += SEC, boottime += SEC), 0);

        realtime += (uint64_t) cases[i].adjustment;
        CHECK_EQ(wall_clock_observe(&clock, realtime += SEC, boottime += SEC), cases[i].step);
        for (unsigned second = 0; second < 3; second++)
            CHECK_EQ(wall_clock_observe(&clock, realtime += SEC, boottime += SEC), 0);
    }
}

/* ---- how far a clock can be trusted ---- */

/* Both are asked a day after the clock was last set, less or more a microsecond. */
static void check_since(const struct wall_clock *clock, uint64_t realtime, uint64_t since,
                        bool trusted_at_once)
{
    const uint64_t day = CLOCK_SETTLING_USEC;

    CHECK(!wall_clock_is_settled(clock, realtime, since));
    CHECK(!wall_clock_is_settled(clock, realtime + day - 1, since + day - 1));
    CHECK(wall_clock_is_settled(clock, realtime + day, since + day));
    CHECK_EQ(wall_clock_is_trusted(clock, realtime, since), trusted_at_once);
    CHECK_EQ(wall_clock_is_trusted(clock, realtime + day - 1, since + day - 1), trusted_at_once);
    CHECK(wall_clock_is_trusted(clock, realtime + day, since + day));

    /* Whatever it was: a clock that shows a time before portmon was written is wrong. */
    CHECK(!wall_clock_is_settled(clock, CLOCK_FLOOR_USEC - 1, since + 9 * day));
    CHECK(!wall_clock_is_trusted(clock, CLOCK_FLOOR_USEC - 1, since + 9 * day));
}

TEST(a_clock_at_the_start)
{
    static const struct {
        const char *name;
        int64_t absence; /* since it was last known how late it was */
        bool trusted;
    } cases[] = {
        {"just now", 0, true},
        {"an hour", 3600 * SEC, true},
        {"a week", CLOCK_ABSENCE_USEC, true},
        {"longer", CLOCK_ABSENCE_USEC + 1, false},
        {"never", CLOCK_FLOOR_USEC + 86400 * SEC, false},
        {"it is earlier than it was", -1, false},
    };
    const uint64_t now = CLOCK_FLOOR_USEC + 86400 * SEC, boottime = 5 * SEC;

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        struct wall_clock clock = {};

        CONTEXT("%s", cases[i].name);
        wall_clock_start(&clock, now, boottime, now - (uint64_t) cases[i].absence);
        check_since(&clock, now, boottime, cases[i].trusted);
        CHECK_EQ(wall_clock_observe(&clock, now + SEC, boottime + SEC), 0);
    }
}

TEST(a_clock_that_was_set)
{
    static const struct {
        const char *name;
        int64_t step;
        bool settled, trusted;
    } cases[] = {
        {"adjusted", CLOCK_STEP_USEC - 1, true, true},
        {"set", CLOCK_STEP_USEC, false, true},
        {"set back", -CLOCK_STEP_USEC, false, true},
        {"set by less than is forgotten in winter", CLOCK_LARGE_STEP_USEC - 1, false, true},
        {"set by much", CLOCK_LARGE_STEP_USEC, false, false},
        {"set back by much", -(int64_t) CLOCK_LARGE_STEP_USEC, false, false},
    };
    const uint64_t day = CLOCK_SETTLING_USEC;

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        uint64_t realtime = CLOCK_FLOOR_USEC + 10 * day, boottime = 5 * SEC;
        struct wall_clock clock = {};

        CONTEXT("%s", cases[i].name);
        wall_clock_start(&clock, realtime, boottime, realtime);
        realtime += 2 * day + (uint64_t) cases[i].step;
        boottime += 2 * day;
        wall_clock_observe(&clock, realtime, boottime);
        if (cases[i].settled)
            CHECK(wall_clock_is_settled(&clock, realtime, boottime));
        else
            check_since(&clock, realtime, boottime, cases[i].trusted);
    }
}

/* Both go on while the host sleeps: CLOCK_BOOTTIME counts that. */
TEST(a_host_that_sleeps)
{
    struct wall_clock clock = {};

    CHECK_EQ(wall_clock_observe(&clock, CLOCK_FLOOR_USEC, SEC), 0);
    CHECK_EQ(wall_clock_observe(&clock, CLOCK_FLOOR_USEC + 86400 * SEC, 86401 * SEC), 0);
}

RUN_TESTS()
