/* SPDX-License-Identifier: MIT */
#include "daemon/collector.h"

#include "shared/calendar.h"
#include "shared/time-util.h"
#include "test.h"
#include "unit/util.h"

#include <errno.h>

#define PORT 5000

/* Some 5 minutes. */
#define START (UINT64_C(1795450200) * USEC_PER_SEC)

static struct port_counters server(struct counters counters)
{
    return (struct port_counters){.port = PORT, .role[ROLE_SERVER] = counters};
}

/** A collector that watches PORT, whose counters are zero. */
static struct collector *watching(void)
{
    const struct port_counters zero = {.port = PORT};
    struct collector *collector = collector_new();

    if (!collector || collector_add(collector, &zero, &zero) < 0)
        abort();
    return collector;
}

static void ingest(struct collector *collector, struct counters counters, uint64_t at_usec)
{
    const struct port_counters reading = server(counters);

    CHECK_EQ(collector_ingest(collector, &reading, at_usec), 0);
}

static struct live_figures live(const struct collector *collector)
{
    struct live_figures figures = {};

    CHECK_EQ(collector_live(collector, PORT, ROLE_SERVER, &figures), 0);
    return figures;
}

/** The sum of what is pending of a port in a role. */
static struct traffic pending(const struct collector *collector, uint16_t port, enum role role)
{
    const struct interval *intervals;
    size_t n = collector_pending(collector, port, role, &intervals);
    struct traffic sum = {};

    for (size_t i = 0; i < n; i++)
        traffic_add(&sum, &intervals[i].traffic);
    return sum;
}

/* ---- counting ---- */

TEST(every_counter_of_every_role_counts_for_itself)
{
    _cleanup_(collector_freep) struct collector *collector = watching();
    struct port_counters reading = {
        .port = PORT,
        .role[ROLE_SERVER] = {1, 2, 3, 4, 5, 0, 0},
        .role[ROLE_CLIENT] = {10, 20, 30, 40, 50, 0, 0},
    };
    const struct traffic server_once = {1, 2, 3, 4, 5, 0, 0};
    const struct traffic client_twice = {20, 40, 60, 80, 100, 0, 0};
    struct traffic got;

    CHECK_EQ(collector_ingest(collector, &reading, START), 0);
    reading.role[ROLE_CLIENT] = (struct counters){20, 40, 60, 80, 100, 0, 0};
    CHECK_EQ(collector_ingest(collector, &reading, START), 0);

    got = pending(collector, PORT, ROLE_SERVER);
    CHECK(memcmp(&got, &server_once, sizeof(got)) == 0);
    got = pending(collector, PORT, ROLE_CLIENT);
    CHECK(memcmp(&got, &client_twice, sizeof(got)) == 0);
}

TEST(a_port_begins_where_the_ledger_ends)
{
    _cleanup_(collector_freep) struct collector *collector = collector_new();
    const struct port_counters counted = server((struct counters){.rx_bytes = 100, .opened = 1});
    const struct port_counters now = server(
        (struct counters){.rx_bytes = 150, .opened = 3, .unclosed = 2, .live = 2});
    struct traffic got;

    CHECK_EQ(collector_add(collector, &counted, &now), 0);
    CHECK_EQ(live(collector).connections, 2);
    collector_tick(collector, START, USEC_PER_SEC);
    CHECK_EQ(live(collector).rx_rate, 0);
    CHECK(!collector_has_pending(collector));

    ingest(collector, now.role[ROLE_SERVER], START);
    got = pending(collector, PORT, ROLE_SERVER);
    CHECK_EQ(got.rx_bytes, 50);
    CHECK_EQ(got.connections, 2);

    /* It is not known how long these bytes took: they make no rate. */
    collector_tick(collector, START, USEC_PER_SEC);
    CHECK_EQ(live(collector).rx_rate, 0);
    CHECK_EQ(pending(collector, PORT, ROLE_SERVER).peak_rx_rate, 0);

    ingest(collector, (struct counters){.rx_bytes = 157, .opened = 3}, START);
    collector_tick(collector, START, USEC_PER_SEC);
    CHECK_EQ(live(collector).rx_rate, 7);
}

TEST(a_step_back_is_made_good)
{
    static const uint64_t readings[] = {100, 99, 100, 101, 100, 100, 250, 249, 251};
    _cleanup_(collector_freep) struct collector *collector = watching();
    uint64_t highest = 0;
    struct traffic got;

    for (size_t i = 0; i < ELEMENTSOF(readings); i++) {
        uint64_t n = readings[i];

        ingest(collector, (struct counters){n, n, n, n, n, 0, 0}, START);
        highest = n > highest ? n : highest;
        got = pending(collector, PORT, ROLE_SERVER);
        CHECK_EQ(got.rx_bytes, highest);
        CHECK_EQ(got.tx_bytes, highest);
        CHECK_EQ(got.rx_packets, highest);
        CHECK_EQ(got.tx_packets, highest);
        CHECK_EQ(got.connections, highest);
    }
}

TEST(without_traffic_nothing_is_pending)
{
    _cleanup_(collector_freep) struct collector *collector = watching();
    const struct interval *intervals;

    /* A connection opens and closes without being ours to count. */
    ingest(collector, (struct counters){.unclosed = 1, .live = 1}, START);
    collector_tick(collector, START, USEC_PER_SEC);
    CHECK(!collector_has_pending(collector));
    CHECK_EQ(collector_pending(collector, PORT, ROLE_SERVER, &intervals), 0);

    ingest(collector, (struct counters){.tx_packets = 1}, START);
    CHECK(collector_has_pending(collector));
    collector_committed(collector);
    CHECK(!collector_has_pending(collector));
    collector_tick(collector, START, USEC_PER_SEC);
    CHECK(!collector_has_pending(collector));
}

TEST(open_connections_are_those_of_the_last_reading)
{
    _cleanup_(collector_freep) struct collector *collector = watching();

    ingest(collector, (struct counters){.opened = 3, .live = 3}, START);
    CHECK_EQ(live(collector).connections, 3);
    ingest(collector, (struct counters){.opened = 3, .live = 1}, START);
    CHECK_EQ(live(collector).connections, 1);
}

/* ---- intervals ---- */

TEST(traffic_belongs_to_the_interval_it_came_in)
{
    static const struct {
        uint64_t at_usec, rx_bytes, start_usec;
        size_t n;
    } cases[] = {
        {START, 1, START, 1},
        {START + 1, 3, START, 1},
        {START + BUCKET_USEC - 1, 7, START, 1},
        {START + BUCKET_USEC, 15, START + BUCKET_USEC, 2},
        {START + 9 * BUCKET_USEC, 31, START + 9 * BUCKET_USEC, 3},
        {START - 1, 63, START - BUCKET_USEC, 4}, /* the clock was set back */
        {START + 5, 127, START, 4},
    };
    _cleanup_(collector_freep) struct collector *collector = watching();
    uint64_t wanted[4] = {7 + 64, 8, 16, 32};
    const struct interval *intervals = NULL;
    size_t n = 0;

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        CONTEXT("case %zu", i);
        ingest(collector, (struct counters){.rx_bytes = cases[i].rx_bytes}, cases[i].at_usec);
        n = collector_pending(collector, PORT, ROLE_SERVER, &intervals);
        REQUIRE(n == cases[i].n);
        if (n > (i ? cases[i - 1].n : 0))
            CHECK_EQ(intervals[n - 1].start_usec, cases[i].start_usec);
    }
    for (size_t i = 0; i < n; i++) {
        CONTEXT("interval %zu", i);
        CHECK_EQ(intervals[i].traffic.rx_bytes, wanted[i]);
    }
}

/* To the nearest 5 minutes, but to none that are to come. */
TEST(what_is_pending_can_be_dated_anew)
{
    static const int64_t shifts[] = {0, 1, 300, -300, 299, -1, 86400, -86400, 149, 150, -151};
    const uint64_t n_intervals = 5, last = START + n_intervals * n_intervals * BUCKET_USEC;

    for (size_t i = 0; i < ELEMENTSOF(shifts); i++) {
        _cleanup_(collector_freep) struct collector *collector = watching();
        const int64_t shift = shifts[i] * (int64_t) USEC_PER_SEC;
        const uint64_t now = last + (uint64_t) shift;
        const struct interval *intervals;

        CONTEXT("%jd s", (intmax_t) shifts[i]);
        for (uint64_t n = 1; n <= n_intervals; n++)
            ingest(collector, (struct counters){.rx_bytes = n * n}, START + n * n * BUCKET_USEC);
        collector_shift(collector, shift, now, true);
        REQUIRE(collector_pending(collector, PORT, ROLE_SERVER, &intervals) == n_intervals);
        for (uint64_t n = 1; n <= n_intervals; n++) {
            uint64_t moment = START + n * n * BUCKET_USEC + (uint64_t) shift + BUCKET_USEC / 2;

            CHECK_EQ(intervals[n - 1].start_usec,
                     period_start(RESOLUTION_5MIN, moment < now ? moment : now));
            CHECK_EQ(intervals[n - 1].traffic.rx_bytes, n * n - (n - 1) * (n - 1));
        }
    }
}

TEST(nothing_is_dated_before_the_epoch)
{
    _cleanup_(collector_freep) struct collector *collector = watching();
    const struct interval *intervals;

    ingest(collector, (struct counters){.rx_bytes = 1}, START);
    ingest(collector, (struct counters){.rx_bytes = 11}, START + BUCKET_USEC);
    collector_shift(collector, -(int64_t) (START + BUCKET_USEC), 10 * USEC_PER_SEC, true);
    REQUIRE(collector_pending(collector, PORT, ROLE_SERVER, &intervals) == 1);
    CHECK_EQ(intervals[0].start_usec, 0);
    CHECK_EQ(intervals[0].traffic.rx_bytes, 11);
}

/* ---- what is recent ---- */

/** The recent interval that belongs to a moment, or NULL. */
static const struct recent_interval *recent_of(const struct collector *collector, uint64_t usec)
{
    const struct recent_interval *recent;
    size_t n = collector_recent(collector, PORT, ROLE_SERVER, &recent);

    for (size_t i = 0; i < n; i++)
        if (recent[i].interval.start_usec == usec)
            return &recent[i];
    return NULL;
}

TEST(what_is_committed_is_recent)
{
    _cleanup_(collector_freep) struct collector *collector = watching();
    const struct recent_interval *recent;

    ingest(collector, (struct counters){.rx_bytes = 1}, START);
    CHECK_EQ(collector_recent(collector, PORT, ROLE_SERVER, &recent), 0);
    collector_committed(collector);
    ingest(collector, (struct counters){.rx_bytes = 11}, START + USEC_PER_SEC);
    ingest(collector, (struct counters){.rx_bytes = 111}, START + BUCKET_USEC);
    collector_committed(collector);
    REQUIRE(collector_recent(collector, PORT, ROLE_SERVER, &recent) == 2);
    CHECK_EQ(recent_of(collector, START)->interval.traffic.rx_bytes, 11);
    CHECK_EQ(recent_of(collector, START + BUCKET_USEC)->interval.traffic.rx_bytes, 100);
    CHECK_EQ(collector_recent(collector, PORT, ROLE_CLIENT, &recent), 0);
    CHECK_EQ(collector_recent(collector, PORT + 1, ROLE_SERVER, &recent), 0);
}

/* Until the ledger has moved it, it is where it was, however often the clock is set. */
TEST(what_is_recent_moves_with_the_clock)
{
    const int64_t shift = 7 * (int64_t) BUCKET_USEC + 2 * (int64_t) USEC_PER_SEC;
    const uint64_t later = START + 7 * BUCKET_USEC, now = START + 100 * BUCKET_USEC;
    _cleanup_(collector_freep) struct collector *collector = watching();

    ingest(collector, (struct counters){.rx_bytes = 1}, START);
    collector_committed(collector);
    collector_shift(collector, shift, now, true);
    REQUIRE(recent_of(collector, later));
    CHECK_EQ(recent_of(collector, later)->in_ledger_usec, START);
    collector_shift(collector, -shift, now, true);
    REQUIRE(recent_of(collector, START));
    CHECK_EQ(recent_of(collector, START)->in_ledger_usec, START);
    collector_shift(collector, shift, now, true);
    collector_committed(collector);
    REQUIRE(recent_of(collector, later));
    CHECK_EQ(recent_of(collector, later)->in_ledger_usec, later);

    /* Not beyond now. */
    collector_shift(collector, shift, later + BUCKET_USEC, true);
    REQUIRE(recent_of(collector, later + BUCKET_USEC));
}

/* Nobody knows which clock was wrong: what is dated stays, and only what is to come moves. It finds
 * its way back when the clock is set forth again. */
TEST(what_would_be_in_the_future_moves)
{
    const int64_t shift = 4 * (int64_t) BUCKET_USEC;
    const uint64_t last = START + 5 * BUCKET_USEC;
    _cleanup_(collector_freep) struct collector *collector = watching();
    const struct recent_interval *recent;

    for (uint64_t i = 0; i <= 5; i++)
        ingest(collector, (struct counters){.rx_bytes = i + 1}, START + i * BUCKET_USEC);
    collector_committed(collector);
    collector_shift(collector, -shift, last - (uint64_t) shift, false);
    REQUIRE(collector_recent(collector, PORT, ROLE_SERVER, &recent) == 4);
    for (size_t i = 0; i < 4; i++) {
        CHECK_EQ(recent[i].in_ledger_usec, START + (i + 2) * BUCKET_USEC);
        CHECK(recent[i].interval.start_usec <= last - (uint64_t) shift);
    }
    collector_shift(collector, shift, last, true);
    for (size_t i = 0; i < 4; i++)
        CHECK_EQ(recent[i].interval.start_usec, recent[i].in_ledger_usec);
}

TEST(only_a_day_is_recent)
{
    const size_t limit = 24 * 12;
    _cleanup_(collector_freep) struct collector *collector = watching();
    const struct recent_interval *recent;

    for (uint64_t i = 1; i <= limit + 10; i++) {
        ingest(collector, (struct counters){.rx_bytes = i}, START + i * BUCKET_USEC);
        if (i % 7 == 0)
            collector_committed(collector);
    }
    collector_committed(collector);
    CHECK_EQ(collector_recent(collector, PORT, ROLE_SERVER, &recent), limit);
    CHECK(!recent_of(collector, START + 10 * BUCKET_USEC));
    CHECK(recent_of(collector, START + 11 * BUCKET_USEC));
}

/* A week of intervals; what comes then goes into the last of them. */
TEST(pending_has_a_limit_that_loses_nothing)
{
    const size_t limit = 7 * 24 * 12, n_readings = limit + 100;
    _cleanup_(collector_freep) struct collector *collector = watching();
    const struct interval *intervals;

    for (uint64_t i = 1; i <= n_readings; i++) {
        ingest(collector, (struct counters){.rx_bytes = i}, START + i * BUCKET_USEC);
        collector_tick(collector, START + i * BUCKET_USEC, USEC_PER_SEC);
    }
    CHECK_EQ(collector_pending(collector, PORT, ROLE_SERVER, &intervals), limit);
    CHECK_EQ(pending(collector, PORT, ROLE_SERVER).rx_bytes, n_readings);
    CHECK_EQ(intervals[limit - 1].start_usec, START + limit * BUCKET_USEC);
    CHECK_EQ(intervals[limit - 1].traffic.rx_bytes, 101);

    /* Older ones are still told apart. */
    ingest(collector, (struct counters){.rx_bytes = n_readings + 5}, START + BUCKET_USEC);
    CHECK_EQ(intervals[0].traffic.rx_bytes, 6);
    collector_shift(collector, -(int64_t) BUCKET_USEC, START + n_readings * BUCKET_USEC, true);
    CHECK_EQ(collector_pending(collector, PORT, ROLE_SERVER, &intervals), limit);
    CHECK_EQ(pending(collector, PORT, ROLE_SERVER).rx_bytes, n_readings + 5);
}

/* ---- rates ---- */

TEST(a_rate_is_of_a_second_or_longer)
{
    static const struct {
        uint64_t bytes, elapsed_usec, rate;
    } cases[] = {
        {1000, USEC_PER_SEC, 1000},
        {1000, 2 * USEC_PER_SEC, 500},
        {1000, 3 * USEC_PER_SEC, 333},
        {1, 2 * USEC_PER_SEC, 0},
        /* Less than a second is none: a burst makes no peak that never was. */
        {1000, USEC_PER_SEC / 2, 1000},
        {1000, 1, 1000},
        {1000, 0, 1000},
        {UINT64_MAX, USEC_PER_SEC, UINT64_MAX},
        {UINT64_MAX, 2 * USEC_PER_SEC, UINT64_MAX / 2},
        {1, UINT64_MAX, 0},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_(collector_freep) struct collector *collector = watching();

        CONTEXT("case %zu", i);
        ingest(collector, (struct counters){.rx_bytes = cases[i].bytes}, START);
        CHECK_EQ(live(collector).rx_rate, 0);
        collector_tick(collector, START, cases[i].elapsed_usec);
        CHECK_EQ(live(collector).rx_rate, cases[i].rate);
        CHECK_EQ(pending(collector, PORT, ROLE_SERVER).peak_rx_rate, cases[i].rate);
    }
}

TEST(a_rate_is_that_of_the_last_whole_second)
{
    _cleanup_(collector_freep) struct collector *collector = watching();

    ingest(collector, (struct counters){.tx_bytes = 10}, START);
    ingest(collector, (struct counters){.tx_bytes = 30}, START);
    collector_tick(collector, START, USEC_PER_SEC);
    CHECK_EQ(live(collector).tx_rate, 30);
    CHECK_EQ(live(collector).rx_rate, 0);

    ingest(collector, (struct counters){.tx_bytes = 35}, START);
    CHECK_EQ(live(collector).tx_rate, 30);
    collector_tick(collector, START, USEC_PER_SEC);
    CHECK_EQ(live(collector).tx_rate, 5);

    ingest(collector, (struct counters){.tx_bytes = 34}, START); /* a step back is no traffic */
    collector_tick(collector, START, USEC_PER_SEC);
    CHECK_EQ(live(collector).tx_rate, 0);

    collector_committed(collector); /* concerns the ledger, not the rates */
    ingest(collector, (struct counters){.tx_bytes = 42}, START);
    collector_tick(collector, START, USEC_PER_SEC);
    CHECK_EQ(live(collector).tx_rate, 7);
}

TEST(an_interval_keeps_its_highest_rates)
{
    static const struct {
        uint64_t at_usec, rx_bytes, tx_bytes;
    } seconds[] = {
        {START, 10, 0},
        {START + 1 * USEC_PER_SEC, 910, 3},   /* 900 of one … */
        {START + 2 * USEC_PER_SEC, 915, 503}, /* … and 500 of the other, in another second */
        {START + BUCKET_USEC, 935, 503},
        {START + BUCKET_USEC + 1 * USEC_PER_SEC, 936, 503},
    };
    _cleanup_(collector_freep) struct collector *collector = watching();
    const struct interval *intervals;

    for (size_t i = 0; i < ELEMENTSOF(seconds); i++) {
        const struct counters counters = {seconds[i].rx_bytes, seconds[i].tx_bytes};

        ingest(collector, counters, seconds[i].at_usec);
        collector_tick(collector, seconds[i].at_usec, USEC_PER_SEC);
    }
    REQUIRE(collector_pending(collector, PORT, ROLE_SERVER, &intervals) == 2);
    CHECK_EQ(intervals[0].traffic.peak_rx_rate, 900);
    CHECK_EQ(intervals[0].traffic.peak_tx_rate, 500);
    CHECK_EQ(intervals[1].traffic.peak_rx_rate, 20);
    CHECK_EQ(intervals[1].traffic.peak_tx_rate, 0);
}

/* ---- connections whose end was not told ---- */

static void watch_for(struct collector *collector, unsigned seconds, uint64_t unclosed,
                      uint64_t seen)
{
    for (unsigned i = 0; i < seconds; i++) {
        ingest(collector, (struct counters){.unclosed = unclosed, .live = seen}, START);
        collector_tick(collector, START, USEC_PER_SEC);
    }
}

/* A walk and an event may cross; only what stays unseen for a whole window of 10 s is lost. */
TEST(lost_closes)
{
    static const struct {
        const char *name;
        struct {
            unsigned seconds;
            uint64_t unclosed, seen;
        } phases[4];
        uint64_t lost;
    } cases[] = {
        {"all are seen", {{30, 3, 3}}, 0},
        {"more are seen than told of", {{30, 3, 5}}, 0},
        {"one is never seen", {{10, 3, 2}}, 1},
        {"the window is not over", {{9, 3, 2}}, 0},
        {"seen again in the last second", {{9, 3, 2}, {1, 3, 3}}, 0},
        {"seen once in the middle", {{4, 3, 2}, {1, 3, 3}, {5, 3, 2}}, 0},
        {"in parts of two windows", {{5, 3, 3}, {10, 3, 2}, {5, 3, 3}}, 0},
        {"in a part of one and the whole of the next", {{5, 3, 3}, {15, 3, 2}}, 1},
        {"never more than at all times of the window", {{5, 9, 2}, {5, 3, 1}}, 2},
        {"the worst window stays", {{10, 9, 2}, {10, 9, 8}, {30, 3, 3}}, 7},
        {"a worse one counts", {{10, 9, 8}, {10, 9, 4}}, 5},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_(collector_freep) struct collector *collector = watching();

        CONTEXT("%s", cases[i].name);
        watch_for(collector, 10, 0, 0); /* so that it begins with a window */
        for (size_t phase = 0; phase < ELEMENTSOF(cases[i].phases); phase++)
            watch_for(collector, cases[i].phases[phase].seconds, cases[i].phases[phase].unclosed,
                      cases[i].phases[phase].seen);
        CHECK_EQ(collector_lost_closes(collector), cases[i].lost);
    }
}

/* What has just opened a walk need not have seen. */
TEST(no_close_is_lost_on_a_busy_port)
{
    _cleanup_(collector_freep) struct collector *collector = watching();
    uint64_t opened = 0;

    for (unsigned i = 0; i < 40; i++) {
        opened += 1000;
        ingest(collector, (struct counters){.opened = opened, .unclosed = 12, .live = 5}, START);
        collector_tick(collector, START, USEC_PER_SEC);
    }
    CHECK_EQ(collector_lost_closes(collector), 0);
    for (unsigned i = 0; i < 20; i++) { /* it calms down, and two are there for good */
        opened += 3;
        ingest(collector, (struct counters){.opened = opened, .unclosed = 10, .live = 5}, START);
        collector_tick(collector, START, USEC_PER_SEC);
    }
    CHECK_EQ(collector_lost_closes(collector), 2);
}

TEST(lost_closes_of_all_ports_and_roles_add_up)
{
    _cleanup_(collector_freep) struct collector *collector = collector_new();

    for (uint16_t port = 1; port <= 3; port++) {
        const struct port_counters reading = {
            .port = port,
            .role[ROLE_SERVER] = {.unclosed = port},
            .role[ROLE_CLIENT] = {.unclosed = 10 * port},
        };

        CHECK_EQ(collector_add(collector, &reading, &reading), 0);
    }
    for (unsigned second = 0; second < 20; second++)
        collector_tick(collector, START, USEC_PER_SEC);
    CHECK_EQ(collector_lost_closes(collector), 66);
}

/* ---- ports ---- */

TEST(ports_come_and_go)
{
    _cleanup_(collector_freep) struct collector *collector = watching();
    const struct port_counters other = {.port = PORT + 1};
    const struct port_counters later = server((struct counters){.rx_bytes = 100});
    const struct interval *intervals;
    struct port_counters reading = {};
    struct live_figures figures;

    CHECK(collector_has(collector, PORT));
    CHECK(!collector_has(collector, PORT + 1));
    CHECK_EQ(collector_n_ports(collector), 1);
    CHECK_EQ(collector_add(collector, &later, &later), -EEXIST);
    CHECK_EQ(collector_n_ports(collector), 1);
    CHECK_EQ(collector_ingest(collector, &other, START), -ENOENT);
    CHECK_EQ(collector_live(collector, PORT + 1, ROLE_SERVER, &figures), -ENOENT);
    CHECK_EQ(collector_pending(collector, PORT + 1, ROLE_SERVER, &intervals), 0);

    ingest(collector, (struct counters){.rx_bytes = 70}, START);
    collector_remove(collector, PORT + 1);
    CHECK_EQ(collector_n_ports(collector), 1);
    collector_remove(collector, PORT);
    CHECK_EQ(collector_n_ports(collector), 0);
    CHECK(!collector_has(collector, PORT));
    CHECK(!collector_has_pending(collector));

    /* It comes back without what it was. */
    CHECK_EQ(collector_add(collector, &later, &later), 0);
    CHECK_EQ(pending(collector, PORT, ROLE_SERVER).rx_bytes, 0);
    collector_reading(collector, PORT, &reading);
    CHECK_EQ(reading.port, PORT);
    CHECK_EQ(reading.role[ROLE_SERVER].rx_bytes, 100);
}

static void add_port(struct collector *collector, unsigned port)
{
    const struct port_counters zero = {.port = (uint16_t) port};

    CHECK_EQ(collector_add(collector, &zero, &zero), 0);
}

TEST(iteration_finds_every_port_once)
{
    static const uint16_t sparse[] = {1,   62,  63,   64,    65,    127,   128,
                                      250, 320, 5000, 65471, 65472, 65534, 65535};
    _cleanup_(collector_freep) struct collector *collector = collector_new();
    uint16_t port = 0;

    CHECK_EQ(collector_next(collector, 0), 0);
    CHECK_EQ(collector_next(collector, 65535), 0);
    for (size_t i = 0; i < ELEMENTSOF(sparse); i++)
        add_port(collector, sparse[i]);
    for (size_t i = 0; i < ELEMENTSOF(sparse); i++) {
        port = collector_next(collector, port);
        CHECK_EQ(port, sparse[i]);
    }
    CHECK_EQ(collector_next(collector, port), 0);
    CHECK_EQ(collector_next(collector, 66), 127);
    CHECK_EQ(collector_next(collector, 4999), 5000);

    for (unsigned any = 1; any <= UINT16_MAX; any++)
        if (!collector_has(collector, (uint16_t) any))
            add_port(collector, any);
    CHECK_EQ(collector_n_ports(collector), UINT16_MAX);
    for (unsigned before = 0; before < UINT16_MAX; before++)
        CHECK_EQ(collector_next(collector, (uint16_t) before), before + 1);
    CHECK_EQ(collector_next(collector, 65535), 0);

    for (unsigned any = 1; any < UINT16_MAX; any++)
        collector_remove(collector, (uint16_t) any);
    CHECK_EQ(collector_next(collector, 0), 65535);
    CHECK_EQ(collector_n_ports(collector), 1);
}

/* ---- nothing is lost, nothing is counted twice ---- */

#define N_PORTS 3

/* The kernel's counters of a port, and what a ledger would have of them. */
struct account {
    struct port_counters kernel, highest, checkpoint;
    struct traffic posted[_ROLE_MAX];
};

/** Whether the amounts are what the counters say, all of which began at zero. */
static bool agree(const struct traffic *traffic, const struct counters *counters)
{
    return traffic->rx_bytes == counters->rx_bytes && traffic->tx_bytes == counters->tx_bytes &&
           traffic->rx_packets == counters->rx_packets &&
           traffic->tx_packets == counters->tx_packets && traffic->connections == counters->opened;
}

static void grow(struct counters *counters, uint64_t *state)
{
    counters->rx_bytes += chance_below(state, 1 << chance_below(state, 30));
    counters->tx_bytes += chance_below(state, 1 << chance_below(state, 30));
    counters->rx_packets += chance_below(state, 1000);
    counters->tx_packets += chance_below(state, 1000);
    counters->opened += chance_below(state, 3);
}

static void raise_to(uint64_t *highest, uint64_t value)
{
    if (*highest < value)
        *highest = value;
}

/** The kernel counts on; a reading may show a byte too many for a moment. */
static void read_port(struct collector *collector, struct account *account, uint64_t at_usec,
                      uint64_t *state)
{
    struct port_counters shown;

    for (enum role role = 0; role < _ROLE_MAX; role++)
        if (chance_below(state, 2))
            grow(&account->kernel.role[role], state);
    shown = account->kernel;
    for (enum role role = 0; role < _ROLE_MAX; role++) {
        struct counters *now = &shown.role[role], *highest = &account->highest.role[role];

        now->rx_bytes += chance_below(state, 2);
        now->tx_bytes += chance_below(state, 2);
        raise_to(&highest->rx_bytes, now->rx_bytes);
        raise_to(&highest->tx_bytes, now->tx_bytes);
        raise_to(&highest->rx_packets, now->rx_packets);
        raise_to(&highest->tx_packets, now->tx_packets);
        raise_to(&highest->opened, now->opened);
    }
    CHECK_EQ(collector_ingest(collector, &shown, at_usec), 0);
}

/** What a flush does, in memory. */
static void commit(struct collector *collector, struct account accounts[static N_PORTS])
{
    for (size_t i = 0; i < N_PORTS; i++) {
        struct account *account = &accounts[i];

        for (enum role role = 0; role < _ROLE_MAX; role++) {
            const struct traffic more = pending(collector, account->kernel.port, role);

            traffic_add(&account->posted[role], &more);
        }
        collector_reading(collector, account->kernel.port, &account->checkpoint);
    }
    collector_committed(collector);
}

/** A new daemon: it knows the checkpoints and finds the kernel's counters as they are. */
static struct collector *start(const struct account accounts[static N_PORTS])
{
    struct collector *collector = collector_new();

    for (size_t i = 0; i < N_PORTS; i++)
        CHECK_EQ(collector_add(collector, &accounts[i].checkpoint, &accounts[i].kernel), 0);
    return collector;
}

static void check_balance(const struct collector *collector,
                          const struct account accounts[static N_PORTS])
{
    struct port_counters committed;

    for (size_t i = 0; i < N_PORTS; i++) {
        collector_committed_reading(collector, accounts[i].kernel.port, &committed);
        for (enum role role = 0; role < _ROLE_MAX; role++) {
            struct traffic all = pending(collector, accounts[i].kernel.port, role);

            traffic_add(&all, &accounts[i].posted[role]);
            CHECK(agree(&all, &accounts[i].highest.role[role]));
            CHECK(agree(&accounts[i].posted[role], &committed.role[role]));
        }
    }
}

/* Whatever the order of readings, seconds, flushes and crashes: what is posted and what is pending
 * add up to the highest readings. */
TEST(posted_and_pending_are_what_was_read)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        _cleanup_(collector_freep) struct collector *collector = NULL;
        struct account accounts[N_PORTS] = {};
        uint64_t state = seed, now = START;

        CONTEXT("seed %" PRIu64, seed);
        for (size_t i = 0; i < N_PORTS; i++)
            accounts[i].kernel.port = accounts[i].checkpoint.port = (uint16_t) (PORT + i);
        collector = start(accounts);
        for (unsigned n = 0; n < 500; n++) {
            now += chance_below(&state, BUCKET_USEC / 4);
            switch (chance_below(&state, 16)) {
            case 0:
                commit(collector, accounts);
                break;
            case 1:
                collector_tick(collector, now, chance_below(&state, 3 * USEC_PER_SEC));
                break;
            case 2:
                now -= chance_below(&state, BUCKET_USEC); /* the clock is set back */
                break;
            case 3:
                collector_shift(collector, (int64_t) chance_below(&state, 10 * BUCKET_USEC), now,
                                true);
                break;
            case 4:
                collector_free(collector);
                collector = start(accounts);
                for (size_t i = 0; i < N_PORTS; i++) {
                    accounts[i].highest = accounts[i].checkpoint;
                    read_port(collector, &accounts[i], now, &state);
                }
                break;
            default:
                read_port(collector, &accounts[chance_below(&state, N_PORTS)], now, &state);
            }
            check_balance(collector, accounts);
        }
    }
}

TEST(nothing_is_a_collector)
{
    CHECK(!collector_free(NULL));
}

RUN_TESTS()
