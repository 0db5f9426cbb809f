/* SPDX-License-Identifier: MIT */
#include "unit/ledger-fixture.h"

/* Days come from their own rows, what is left of them at the ends of a range from buckets. */
TEST(any_range_at_any_resolution_across_changes_of_the_clock)
{
    static const struct {
        const char *zone;
        struct date start; /* some days before a change */
    } cases[] = {
        {ZONE_BERLIN, {2026, 3, 25}},    {ZONE_BERLIN, {2026, 10, 21}},
        {ZONE_ST_JOHNS, {2026, 10, 28}}, {ZONE_SAO_PAULO, {2026, 10, 28}},
        {ZONE_SAO_PAULO, {2026, 2, 11}}, {ZONE_KATHMANDU, {2026, 11, 25}},
    };
    const unsigned days = 9;
    uint64_t state = 1;

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_fixture_ struct fixture f = fixture_make();
        static struct posted posted;
        uint64_t start;

        use_zone(cases[i].zone);
        start = date_start(cases[i].start);
        post_any(f.ledger, &posted, start, days, &state);
        check_any_ranges(f.ledger, &posted, start, days, 0, &state);
    }
}

TEST(rows_are_added_to_a_history)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_history_ struct history history = {};

    use_zone("UTC");
    commit(f.ledger, ROLE_SERVER, START, some);
    CHECK_EQ(history_add(&history, START, &more), 0);
    CHECK_EQ(
        ledger_history(f.ledger, PORT, ROLE_SERVER, START, START + 1, RESOLUTION_5MIN, &history),
        0);
    REQUIRE(history.n == 1);
    CHECK_TRAFFIC(history.rows[0].traffic, both);
}

TEST(a_reading_is_of_one_moment)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_(sql_closep) struct sql *other = NULL;

    commit(f.ledger, ROLE_SERVER, START, some);
    REQUIRE(sql_open(f.file, &other) == 0);
    CHECK_EQ(ledger_begin_reading(f.ledger), 0);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), some);
    CHECK_EQ(sql_run(other, "DELETE FROM total"), 0);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), some);
    ledger_end_reading(f.ledger);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), none);

    /* and it may be written again */
    commit(f.ledger, ROLE_SERVER, START, more);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), more);
}

RUN_TESTS()
