/* SPDX-License-Identifier: MIT */
/*
 * Every byte is dated by its own second, whatever is done to the clock: a real monitor and its
 * ledger, on a host whose time is ours.
 */
#include "shared/log.h"
#include "test.h"
#include "unit/util.h"
#include "world.h"

#include <errno.h>
#include <string.h>

#define PORT FIRST_PORT

#define SEC  ((int64_t) USEC_PER_SEC)
#define HOUR (3600 * SEC)
#define DAY  (24 * HOUR)
#define YEAR (365 * DAY)

struct fixture {
    char *scratch, *directory;
    struct monitor *monitor;
};

static void start(struct fixture *f)
{
    struct reason reason = {};

    f->monitor = world_start(f->directory, &reason);
    if (!f->monitor) {
        printf("Bail out! %s\n", reason.text);
        exit(EXIT_FAILURE);
    }
}

static void stop(struct fixture *f)
{
    f->monitor = monitor_free(f->monitor);
    world_lose_daemon();
}

static void fixture_clear(struct fixture *f)
{
    monitor_free(f->monitor);
    free(f->directory);
    scratch_remove(f->scratch);
}

#define _cleanup_fixture_ _cleanup_(fixture_clear)

/** A host whose counters somebody keeps, and no daemon yet. */
static struct fixture fixture_at(uint64_t start_usec)
{
    struct fixture f = {.scratch = scratch_make()};

    f.directory = scratch_path(f.scratch, "data");
    world_make(start_usec);
    world->keeper = true;
    return f;
}

static struct fixture fixture_make(void)
{
    struct fixture f = fixture_at(WORLD_START_USEC);

    use_zone("UTC");
    start(&f);
    return f;
}

/** So many seconds of traffic; somebody asks to flush now and then, at any fraction of a second. */
static void live(struct fixture *f, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        world_any_traffic();
        world_pass_second();
        CHECK_EQ(monitor_tick(f->monitor), 0);
        if (i % 10 == 9)
            CHECK_EQ(monitor_flush(f->monitor), 0);
        if (i % 37 == 36) {
            world_any_traffic();
            world_pass(300000);
            CHECK_EQ(monitor_flush(f->monitor), 0);
        }
    }
}

/** Time passes in which nobody sends anything, and the daemon does what it does. */
static void idle(struct fixture *f, uint64_t usec)
{
    for (; usec >= 9 * USEC_PER_SEC; usec -= 9 * USEC_PER_SEC) {
        world_pass(9 * USEC_PER_SEC);
        monitor_tick(f->monitor);
        monitor_flush(f->monitor);
    }
    world_pass(usec);
}

static void set_clock(int64_t wrong_usec)
{
    world->wrong_usec = wrong_usec;
}

/* ---- what must hold ---- */

static void same_history(const struct history *got, const struct history *wanted)
{
    CHECK_EQ(got->n, wanted->n);
    for (size_t i = 0; i < got->n && i < wanted->n; i++) {
        CHECK_EQ(got->rows[i].start_usec, wanted->rows[i].start_usec);
        CHECK_EQ(got->rows[i].traffic.rx_bytes, wanted->rows[i].traffic.rx_bytes);
        CHECK_EQ(got->rows[i].traffic.tx_bytes, wanted->rows[i].traffic.tx_bytes);
        CHECK_EQ(got->rows[i].traffic.connections, wanted->rows[i].traffic.connections);
    }
}

/** Every interval has the traffic of its own seconds. */
static void check_dates(struct fixture *f)
{
    for (enum role role = 0; role < _ROLE_MAX; role++)
        for (enum resolution by = 0; by < _RESOLUTION_MAX; by++) {
            _cleanup_history_ struct history got = {}, wanted = {};

            for (uint64_t second = 0; second <= world_second(); second++)
                if (!traffic_is_empty(&world->seconds[second].truth[0][role]))
                    history_add(&wanted, period_start(by, world_time(second)),
                                &world->seconds[second].truth[0][role]);
            CHECK_EQ(monitor_history(f->monitor, PORT, role, 0, UINT64_MAX, by, &got), 0);
            same_history(&got, &wanted);
        }
}

/** All is there, once, and nothing is dated in the future. */
static void check_sum(struct fixture *f)
{
    uint64_t now = now_usec(CLOCK_REALTIME);

    for (enum role role = 0; role < _ROLE_MAX; role++) {
        _cleanup_history_ struct history history = {};
        struct traffic sum, truth = world_truth(0, role);

        CHECK_EQ(monitor_history(f->monitor, PORT, role, 0, UINT64_MAX, RESOLUTION_5MIN, &history),
                 0);
        history_sum(&history, &sum);
        CHECK_EQ(sum.rx_bytes, truth.rx_bytes);
        CHECK_EQ(sum.connections, truth.connections);
        CHECK_EQ(monitor_range(f->monitor, PORT, role, 0, UINT64_MAX, &sum), 0);
        CHECK_EQ(sum.rx_bytes, truth.rx_bytes);
        CHECK(!history.n || history.rows[history.n - 1].start_usec <= now);
    }
}

/** The gaps of these reasons, in the order of their beginnings. */
static void check_gaps(struct fixture *f, const char *wanted)
{
    _cleanup_gap_list_ struct gap_list gaps = {};
    char got[256] = "";

    CHECK_EQ(monitor_gaps(f->monitor, 0, UINT64_MAX >> 1, &gaps), 0);
    for (size_t i = 0; i < gaps.n; i++) {
        CHECK(gaps.gaps[i].from_usec <= gaps.gaps[i].until_usec);
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
                 gap_reason_to_string(gaps.gaps[i].reason));
    }
    CHECK_STREQ(got, wanted);
}

/** A restart changes nothing. */
static void check_all(struct fixture *f, const char *gaps)
{
    for (int i = 0; i < 2; i++) {
        check_dates(f);
        check_sum(f);
        check_gaps(f, gaps);
        stop(f);
        start(f);
    }
}

/* ---- a clock that is right ---- */

/* A quarter of an hour before it, until half an hour after it. */
TEST(midnight_the_month_and_summer_time)
{
    static const struct {
        const char *zone;
        uint64_t sec;
    } cases[] = {
        {"UTC", 1795392000},          /* a day, 23 November 2026 */
        {ZONE_KATHMANDU, 1795371300}, /* the same, at 18:15 UTC */
        {"UTC", 1796083200},          /* a month, 1 December 2026 */
        {ZONE_BERLIN, 1798758000},    /* a year, 1 January 2027 */
        {ZONE_BERLIN, 1792887600},    /* back from 3:00 to 2:00 on 25 October 2026 ... */
        {ZONE_BERLIN, 1792890000},    /* ... an hour that comes twice */
        {ZONE_BERLIN, 1774746000},    /* forward from 2:00 on 29 March 2026 */
        {ZONE_ST_JOHNS, 1793500200},  /* back across midnight, 1 November 2026 */
        {ZONE_SAO_PAULO, 1793502000}, /* forward from midnight, 1 November 2026 */
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_fixture_ struct fixture f = fixture_at((cases[i].sec - 900) * USEC_PER_SEC +
                                                        17 * USEC_PER_SEC);

        CONTEXT("%s, %ju", cases[i].zone, (uintmax_t) cases[i].sec);
        use_zone(cases[i].zone);
        start(&f);
        live(&f, 2700);
        check_all(&f, "");
    }
}

/* What is not flushed before a boundary belongs before it all the same. */
TEST(a_late_flush)
{
    _cleanup_fixture_ struct fixture f = fixture_make();

    for (unsigned i = 0; i < 2000; i++) {
        world_any_traffic();
        world_pass_second();
        CHECK_EQ(monitor_tick(f.monitor), 0);
        if (i % 700 == 699)
            CHECK_EQ(monitor_flush(f.monitor), 0);
    }
    check_all(&f, "");
}

TEST(the_host_sleeps)
{
    _cleanup_fixture_ struct fixture f = fixture_make();

    live(&f, 400);
    world_sleep(8 * HOUR);
    live(&f, 400);
    check_all(&f, "");
}

/* It is stopped, or waits for a disk. Nothing is lost, and that it is dated later is told. */
TEST(the_daemon_is_held_up)
{
    _cleanup_fixture_ struct fixture f = fixture_make();

    live(&f, 290);
    for (unsigned i = 0; i < 30; i++) {
        world_any_traffic();
        world_pass(USEC_PER_SEC);
    }
    live(&f, 300);
    check_sum(&f);
    check_gaps(&f, "unsampled");

    /* Within an interval it makes no difference. */
    for (unsigned i = 0; i < 30; i++) {
        world_any_traffic();
        world_pass(USEC_PER_SEC);
    }
    live(&f, 10);
    check_gaps(&f, "unsampled");
}

/* ---- a clock that is set ---- */

TEST(there_and_back)
{
    static const int64_t steps[] = {5 * HOUR, -5 * HOUR, HOUR / 4, -HOUR / 4, 400 * DAY, -3 * DAY};

    for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
        _cleanup_fixture_ struct fixture f = fixture_make();

        CONTEXT("%jd s", (intmax_t) (steps[i] / SEC));
        live(&f, 700);
        set_clock(steps[i]);
        live(&f, 700);
        check_sum(&f);
        set_clock(0);
        live(&f, 700);
        check_all(&f, "");
    }
}

TEST(there_and_further_and_back)
{
    _cleanup_fixture_ struct fixture f = fixture_make();

    live(&f, 700);
    set_clock(2 * HOUR);
    live(&f, 650);
    set_clock(-7 * HOUR);
    live(&f, 350);
    set_clock(300 * DAY);
    live(&f, 3);
    set_clock(0);
    live(&f, 700);
    check_all(&f, "");
}

/* At boot, without a real-time clock or with one that is wrong, until NTP has come. */
TEST(wrong_from_the_beginning)
{
    static const struct {
        int64_t wrong;
        unsigned seconds;
    } cases[] = {
        {-(int64_t) WORLD_START_USEC + 20 * SEC, 17}, /* 1970 */
        {-(int64_t) WORLD_START_USEC + 20 * SEC, 3000},
        {-100 * DAY, 40},
        {-100 * DAY, 3000},
        {-3 * HOUR, 3000},
        {3 * HOUR, 3000},
        {20 * YEAR, 3000},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_fixture_ struct fixture f = fixture_at(WORLD_START_USEC);

        CONTEXT("%jd s for %u s", (intmax_t) (cases[i].wrong / SEC), cases[i].seconds);
        use_zone("UTC");
        /* Whole 5 minutes, or what is dated anew comes to the nearest. */
        set_clock(cases[i].wrong / (300 * SEC) * (300 * SEC));
        start(&f);
        live(&f, cases[i].seconds);
        check_sum(&f);
        set_clock(0);
        live(&f, 700);
        check_all(&f, "");
    }
}

/* It has run well for more than a day, so what it has dated stays; a gap says what may be wrong. */
TEST(a_clock_that_was_right_for_long)
{
    _cleanup_fixture_ struct fixture f = fixture_make();

    live(&f, 700);
    idle(&f, 2 * DAY);
    live(&f, 700);
    set_clock(5 * HOUR);
    live(&f, 1);
    check_gaps(&f, "clock");
    check_sum(&f);
    live(&f, 700);
    set_clock(0);
    live(&f, 700);
    check_all(&f, "clock");
}

/* Somebody sets a wrong clock by hand, and nobody notices for days. */
TEST(a_clock_that_stays_wrong)
{
    _cleanup_fixture_ struct fixture f = fixture_make();

    live(&f, 700);
    idle(&f, 2 * DAY);
    set_clock(-5 * HOUR);
    live(&f, 700);
    idle(&f, 2 * DAY);
    live(&f, 700);
    set_clock(0);
    live(&f, 700);
    check_sum(&f);
    check_gaps(&f, "clock clock");
}

TEST(many_small_steps)
{
    _cleanup_fixture_ struct fixture f = fixture_make();

    for (unsigned i = 0; i < 30; i++) {
        set_clock(i % 2 ? 0 : -5 * SEC / 2);
        live(&f, 60);
    }
    set_clock(0);
    live(&f, 10);
    check_sum(&f);
    check_gaps(&f, "");

    /* What was dated long before a small step is where it was. */
    for (uint64_t bucket = 0; bucket < 3; bucket++) {
        struct traffic got, wanted = {};
        uint64_t from = period_start(RESOLUTION_5MIN, world_time(300 * bucket));

        for (uint64_t second = 300 * bucket; second < 300 * (bucket + 1); second++)
            traffic_add(&wanted, &world->seconds[second].truth[0][ROLE_SERVER]);
        CHECK_EQ(monitor_range(f.monitor, PORT, ROLE_SERVER, from, from + BUCKET_USEC, &got), 0);
        /* Some seconds at the ends came to the neighbours. */
        CHECK(got.connections + 10 > wanted.connections);
        CHECK(got.connections < wanted.connections + 10);
    }
}

TEST(set_while_the_daemon_is_away)
{
    static const int64_t steps[] = {5 * HOUR, -5 * HOUR};

    for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
        _cleanup_fixture_ struct fixture f = fixture_make();

        CONTEXT("%jd s", (intmax_t) (steps[i] / SEC));
        live(&f, 700);
        stop(&f);
        world_any_traffic();
        set_clock(steps[i]);
        start(&f);
        check_gaps(&f, "clock");
        live(&f, 700);
        set_clock(0);
        live(&f, 700);
        check_sum(&f);
        check_gaps(&f, "clock");
    }
}

/* ---- gaps ---- */

/** The gap of that reason; there must be one. */
static struct gap gap_of(struct fixture *f, enum gap_reason reason)
{
    _cleanup_gap_list_ struct gap_list gaps = {};
    struct gap gap = {};
    unsigned n = 0;

    CHECK_EQ(monitor_gaps(f->monitor, 0, UINT64_MAX >> 1, &gaps), 0);
    for (size_t i = 0; i < gaps.n; i++)
        if (gaps.gaps[i].reason == reason) {
            gap = gaps.gaps[i];
            n++;
        }
    CHECK_EQ(n, 1);
    return gap;
}

/** A daemon that lives for so long, idles for so long, and is killed. */
static void live_and_die(struct fixture *f, unsigned seconds, uint64_t idle_usec)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        start(f);
        live(f, seconds);
        idle(f, idle_usec);
        _exit(failed_checks ? EXIT_FAILURE : EXIT_SUCCESS);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        CHECK_FAILED("the daemon failed: status %d", status);
    world_lose_daemon();
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a < b ? b - a : a - b;
}

/* The gap is as long as it must be: what was counted before is not in it. */
TEST(a_crash_after_hours_without_traffic)
{
    _cleanup_fixture_ struct fixture f = fixture_at(WORLD_START_USEC);
    struct gap gap;
    uint64_t died;

    world->keeper = false;
    use_zone("UTC");
    live_and_die(&f, 100, 3 * HOUR);
    died = now_usec(CLOCK_REALTIME);
    world_pass(100 * USEC_PER_SEC);
    start(&f);
    gap = gap_of(&f, GAP_CRASHED);
    CHECK(distance(gap.from_usec, died) <= 600 * USEC_PER_SEC);
    CHECK_EQ(gap.until_usec, now_usec(CLOCK_REALTIME));
}

/* Both ends of a gap are right in the end, even if no clock was when it was noted. */
TEST(a_gap_that_a_wrong_clock_has_dated)
{
    static const int64_t wrong[] = {-(int64_t) WORLD_START_USEC + 20 * SEC, -3 * HOUR, 3 * HOUR,
                                    YEAR};

    for (unsigned reboot = 0; reboot <= 1; reboot++)
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
            _cleanup_fixture_ struct fixture f = fixture_at(WORLD_START_USEC);
            uint64_t died, back;
            struct gap gap;

            CONTEXT("%jd s, %s", (intmax_t) (wrong[i] / SEC), reboot ? "reboot" : "crash");
            world->keeper = false;
            use_zone("UTC");
            if (!reboot) /* the clock was wrong before, too */
                set_clock(wrong[i]);
            live_and_die(&f, 100, 0);
            died = world_time(world_second());
            world_pass(5 * USEC_PER_SEC);
            if (reboot)
                world_reboot();
            set_clock(wrong[i]);
            back = world_time(world_second());
            start(&f);
            gap_of(&f, reboot ? GAP_REBOOTED : GAP_CRASHED);
            live(&f, 30);
            set_clock(0);
            live(&f, 30);
            gap = gap_of(&f, reboot ? GAP_REBOOTED : GAP_CRASHED);
            CHECK(distance(gap.from_usec, died) <= 10 * USEC_PER_SEC);
            CHECK(distance(gap.until_usec, back) <= USEC_PER_SEC);
            check_gaps(&f, gap_reason_to_string(gap.reason));
        }
}

/* A stop is told from a crash, and what was told once is not told again. */
TEST(stops_and_crashes)
{
    _cleanup_fixture_ struct fixture f = fixture_at(WORLD_START_USEC);

    world->keeper = false;
    use_zone("UTC");
    start(&f);
    check_gaps(&f, ""); /* nothing was counted before */
    stop(&f);
    world_pass(20 * USEC_PER_SEC);
    start(&f);
    check_gaps(&f, "stopped");
    live(&f, 5);
    stop(&f);
    live_and_die(&f, 20, 0);
    start(&f);
    check_gaps(&f, "stopped stopped crashed");
    live(&f, 20);
    check_gaps(&f, "stopped stopped crashed");
    stop(&f);
    world_reboot();
    start(&f);
    check_gaps(&f, "stopped stopped crashed stopped");
}

/* While the kernel counts alone nothing is missed; across a boundary it is dated to the end. */
TEST(the_kernel_counts_alone)
{
    _cleanup_fixture_ struct fixture f = fixture_at(WORLD_START_USEC);
    struct gap gap;

    use_zone("UTC");
    live_and_die(&f, 100, 0);
    for (unsigned i = 0; i < 60; i++) {
        world_any_traffic();
        world_pass(USEC_PER_SEC);
    }
    start(&f);
    check_all(&f, "");
    stop(&f);
    for (unsigned i = 0; i < 300; i++) {
        world_any_traffic();
        world_pass(USEC_PER_SEC);
    }
    start(&f);
    check_sum(&f);
    gap = gap_of(&f, GAP_UNSAMPLED);
    CHECK_EQ(gap.until_usec - gap.from_usec, 300 * USEC_PER_SEC);
    stop(&f);
    world_pass(600 * USEC_PER_SEC); /* in which nothing came */
    start(&f);
    check_gaps(&f, "unsampled");
}

/* What the kernel lost is told once, with the time in which it was, also when that was our absence.
 */
TEST(losses)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    struct gap gap;

    live(&f, 20);
    for (unsigned i = 0; i < 100; i++) { /* a storm is one gap */
        world->health.storage_failures++;
        live(&f, 1);
    }
    gap = gap_of(&f, GAP_SKIPPED);
    CHECK(distance(gap.from_usec, world_time(world_second() - 100)) <= USEC_PER_SEC);
    CHECK(distance(gap.until_usec, world_time(world_second())) <= USEC_PER_SEC);
    live(&f, 20);
    check_all(&f, "skipped");

    stop(&f);
    world->health.unsettled++;
    world_pass(30 * USEC_PER_SEC);
    start(&f);
    live(&f, 20);
    check_gaps(&f, "skipped skipped");
    check_all(&f, "skipped skipped");
}

/* ---- what a clock may delete ---- */

/** Lets pruning do what it does in a quarter of an hour. */
static uint64_t detail_left(struct fixture *f)
{
    _cleanup_history_ struct history history = {};

    for (unsigned i = 0; i < 100; i++)
        monitor_flush(f->monitor);
    CHECK_EQ(
        monitor_history(f->monitor, PORT, ROLE_SERVER, 0, UINT64_MAX, RESOLUTION_5MIN, &history),
        0);
    return history.n;
}

TEST(old_detail_goes_by_a_clock_that_is_trusted)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    struct traffic sum;
    uint64_t truth;

    live(&f, 1000);
    truth = world_truth(0, ROLE_SERVER).rx_bytes;
    CHECK_EQ(detail_left(&f), 4);
    set_clock(20 * YEAR); /* a slip */
    idle(&f, 20 * SEC);
    CHECK_EQ(detail_left(&f), 4);
    set_clock(0);
    idle(&f, 20 * SEC);
    CHECK_EQ(detail_left(&f), 4);

    /* An empty battery: the clock has lost its year, and stops to be believed in. */
    stop(&f);
    world_reboot();
    set_clock(20 * YEAR);
    start(&f);
    CHECK_EQ(detail_left(&f), 4);
    set_clock(0);
    idle(&f, 20 * SEC);
    CHECK_EQ(detail_left(&f), 4);

    /* The host was off for a year indeed. */
    stop(&f);
    world_reboot();
    world->start_usec += YEAR;
    start(&f);
    CHECK_EQ(detail_left(&f), 4);
    idle(&f, 2 * DAY);
    CHECK_EQ(detail_left(&f), 0);
    CHECK_EQ(monitor_range(f.monitor, PORT, ROLE_SERVER, 0, UINT64_MAX, &sum), 0);
    CHECK_EQ(sum.rx_bytes, truth);
}

int main(void)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0); /* faster, and nothing here is about a real disk */
    log_set_level(getenv("PORTMON_DEBUG") ? LOG_DEBUG : LOG_EMERG);
    return run_tests();
}
