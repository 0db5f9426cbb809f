/* SPDX-License-Identifier: MIT */
#include "unit/ledger-fixture.h"

/* ---- forgetting detail ---- */

/** Goes on forgetting until there is nothing to do. Returns how often that took. */
static unsigned prune(struct ledger *ledger, struct date horizon)
{
    unsigned n = 0;
    int r;

    while ((r = ledger_prune(ledger, horizon)) > 0 && n < 10000)
        n++;
    CHECK_EQ(r, 0);
    return n;
}

TEST(only_detail_before_the_horizon_is_forgotten)
{
    const struct date first = {2026, 10, 21};
    const unsigned days = 9;
    _cleanup_fixture_ struct fixture f = fixture_make();
    static struct posted posted;
    uint64_t state = 1, start;
    struct traffic all;

    use_zone(ZONE_BERLIN); /* back from 3:00 to 2:00 on 25 October */
    start = date_start(first);
    CHECK_EQ(ledger_set_source(f.ledger, SD_ID128_ALLF, SD_ID128_ALLF), 0);
    CHECK_EQ(ledger_save_port(f.ledger, PORT, "", false, start), 0);
    post_any(f.ledger, &posted, start, days, &state);
    all = total(f.ledger, ROLE_SERVER);

    for (unsigned day = 0; day <= days; day += 2) {
        struct date horizon = date_add_days(first, (int) day);

        CHECK_EQ(prune(f.ledger, horizon) > 0, day > 0);
        CHECK_EQ(ledger_prune(f.ledger, horizon), 0);
        CHECK_EQ(ledger_prune(f.ledger, first), 0); /* what is forgotten stays so */
        check_any_ranges(f.ledger, &posted, start, days, date_start(horizon), &state);
        CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), all);
        reopen(&f);
        check_any_ranges(f.ledger, &posted, start, days, date_start(horizon), &state);
    }
}

/* Many ports, so that a pass takes several steps, in the first of which there is nothing to do.
 * Flushes come between them. */
TEST(a_pass_comes_to_every_port)
{
    const unsigned n_ports = 50, first_port = 40, days = 3;
    const struct date horizon = {2026, 11, 23};
    _cleanup_fixture_ struct fixture f = fixture_make();
    uint64_t today;
    int64_t pages;
    _cleanup_(sql_closep) struct sql *sql = NULL;

    use_zone("UTC");
    today = date_start(horizon);
    CHECK_EQ(ledger_begin(f.ledger), 0);
    for (uint16_t port = 1; port <= n_ports; port++) {
        CHECK_EQ(ledger_save_port(f.ledger, port, "", false, today), 0);
        for (uint64_t bucket = 0; port >= first_port && bucket < days * 288; bucket++)
            post(f.ledger, port, port % _ROLE_MAX, today - bucket * BUCKET_USEC, some);
    }
    CHECK_EQ(ledger_commit(f.ledger, today, 0, false), 0);

    for (unsigned n = 0; ledger_prune(f.ledger, horizon) > 0 && n < 10000; n++)
        commit(f.ledger, ROLE_SERVER, today, some);
    for (uint16_t port = first_port; port <= n_ports; port++) {
        _cleanup_history_ struct history history = {};
        struct traffic traffic;

        CONTEXT("port %u", port);
        CHECK_EQ(
            ledger_history(f.ledger, port, port % _ROLE_MAX, 0, FOREVER, RESOLUTION_5MIN, &history),
            0);
        CHECK_EQ(history.n, 1); /* that of today */
        CHECK_EQ(ledger_sum(f.ledger, port, port % _ROLE_MAX, 0, FOREVER, &traffic), 0);
        CHECK_EQ(traffic.rx_bytes, days * 288);
    }

    /* The file gives back what it does not need. */
    REQUIRE(sql_open(f.file, &sql) == 0);
    CHECK_EQ(sql_get_number(sql, "PRAGMA freelist_count", &pages), 0);
    CHECK_EQ(pages, 0);
}

/* A year of which a month is kept: once that month is full, only the days come on top. */
TEST(the_file_does_not_grow_for_ever)
{
    const int kept_days = 30, days = 365, days_a_page = 50; /* at the least */
    _cleanup_fixture_ struct fixture f = fixture_make();
    _cleanup_(sql_closep) struct sql *sql = NULL;
    struct date date = {2026, 1, 1};
    int64_t pages = 0, most = 0;

    use_zone("UTC");
    REQUIRE(sql_open(f.file, &sql) == 0);
    CHECK_EQ(ledger_save_port(f.ledger, PORT, "", false, date_start(date)), 0);
    for (int day = 0; day < days; day++, date = date_add_days(date, 1)) {
        CHECK_EQ(ledger_begin(f.ledger), 0);
        for (uint64_t bucket = 0; bucket < 288; bucket++)
            post(f.ledger, PORT, ROLE_SERVER, date_start(date) + bucket * BUCKET_USEC, some);
        CHECK_EQ(ledger_commit(f.ledger, date_start(date), 0, false), 0);
        while (ledger_prune(f.ledger, date_add_days(date, -kept_days)) > 0)
            ;
        CHECK_EQ(sql_get_number(sql, "PRAGMA page_count", &pages), 0);
        if (day <= 2 * kept_days && pages > most)
            most = pages;
    }
    CHECK(most > 50);
    CHECK(pages <= most + days / days_a_page);
}

/* ---- dating anew ---- */

/** Moves one of what was posted. */
static void move(struct fixture *f, struct interval *interval, uint64_t to_usec)
{
    CHECK_EQ(ledger_begin(f->ledger), 0);
    CHECK_EQ(ledger_move(f->ledger, PORT, ROLE_SERVER, interval->start_usec, to_usec,
                         &interval->traffic),
             0);
    CHECK_EQ(ledger_commit_rest(f->ledger), 0);
    interval->start_usec = period_start(RESOLUTION_5MIN, to_usec);
}

/** Posts as post_any() does, but no peaks: of those the ledger does not know whose they were. */
static void post_amounts(struct ledger *ledger, struct posted *posted, uint64_t start_usec,
                         unsigned days, uint64_t *state)
{
    CHECK_EQ(ledger_begin(ledger), 0);
    for (posted->n = 0; posted->n < ELEMENTSOF(posted->intervals); posted->n++) {
        struct interval *interval = &posted->intervals[posted->n];

        interval->start_usec = start_usec + chance_below(state, days * 288) * BUCKET_USEC;
        interval->traffic = chance_traffic(state);
        interval->traffic.peak_rx_rate = interval->traffic.peak_tx_rate = 0;
        post(ledger, PORT, ROLE_SERVER, interval->start_usec, interval->traffic);
    }
    CHECK_EQ(ledger_commit_rest(ledger), 0);
}

TEST(what_is_dated_anew_is_no_longer_where_it_was)
{
    const unsigned days = 5;
    _cleanup_fixture_ struct fixture f = fixture_make();
    static struct posted posted;
    uint64_t state = 1, start;
    struct traffic all;

    use_zone(ZONE_BERLIN);
    start = date_start((struct date){2026, 10, 23});
    post_amounts(f.ledger, &posted, start, days, &state);
    all = total(f.ledger, ROLE_SERVER);
    for (unsigned n = 0; n < 300; n++)
        move(&f, &posted.intervals[chance_below(&state, posted.n)],
             chance_moment(start, days, &state));
    check_any_ranges(f.ledger, &posted, start, days, 0, &state);
    CHECK_TRAFFIC(total(f.ledger, ROLE_SERVER), all);
}

TEST(a_peak_goes_along)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    struct interval interval = {START, some};

    use_zone("UTC");
    commit(f.ledger, ROLE_SERVER, START, some);
    commit(f.ledger, ROLE_SERVER, START + BUCKET_USEC, more);
    move(&f, &interval, START + BUCKET_USEC + 1);
    CHECK_TRAFFIC(sum(f.ledger, ROLE_SERVER, START, START + BUCKET_USEC), none);
    CHECK_TRAFFIC(sum(f.ledger, ROLE_SERVER, START, FOREVER), both);
}

/* It was forgotten meanwhile, or was never there. */
TEST(what_is_not_there_is_not_moved)
{
    _cleanup_fixture_ struct fixture f = fixture_make();
    struct interval interval = {START + BUCKET_USEC, more};

    use_zone("UTC");
    commit(f.ledger, ROLE_SERVER, START, some);
    move(&f, &interval, START + 10 * BUCKET_USEC);
    CHECK_TRAFFIC(sum(f.ledger, ROLE_SERVER, 0, FOREVER), some);

    interval = (struct interval){START, some};
    move(&f, &interval, START + 17); /* within its 5 minutes */
    CHECK_TRAFFIC(sum(f.ledger, ROLE_SERVER, START, START + BUCKET_USEC), some);
}

/* A bucket is part of the day on which it was begun, wherever midnight is by now: nothing is
 * counted twice, and what is dated anew is taken from where it was. */
TEST(another_time_zone)
{
    const uint64_t noon = date_start((struct date){2026, 11, 23}) + 12 * 3600 * USEC_PER_SEC;
    static const char *const zones[] = {"UTC", "<+14>-14", "<-12>12", ZONE_KATHMANDU};

    for (size_t from = 0; from < ELEMENTSOF(zones); from++)
        for (size_t to = 0; to < ELEMENTSOF(zones); to++) {
            _cleanup_fixture_ struct fixture f = fixture_make();
            const uint64_t n_buckets = 3 * 288;
            struct interval moved = {noon + 100 * BUCKET_USEC, {.rx_bytes = 1}};
            uint64_t all = 0;

            CONTEXT("%s to %s", zones[from], zones[to]);
            use_zone(zones[from]);
            CHECK_EQ(ledger_begin(f.ledger), 0);
            for (uint64_t i = 0; i < n_buckets; i++)
                post(f.ledger, PORT, ROLE_SERVER, noon + i * BUCKET_USEC, moved.traffic);
            CHECK_EQ(ledger_commit_rest(f.ledger), 0);
            use_zone(zones[to]);
            post(f.ledger, PORT, ROLE_SERVER, noon + (n_buckets - 1) * BUCKET_USEC, moved.traffic);
            move(&f, &moved, noon + 200 * BUCKET_USEC);

            /* From anywhere on: the later, the less. */
            for (uint64_t i = 0, before = n_buckets + 1; i < n_buckets; i += 17) {
                all = sum(f.ledger, ROLE_SERVER, noon + i * BUCKET_USEC - 1, FOREVER).rx_bytes;
                CHECK(all <= before);
                if (i == 0 || from == to)
                    CHECK_EQ(all, n_buckets + 1 - i + (i > 100 && i <= 200));
                before = all;
            }
            all = sum(f.ledger, ROLE_SERVER, 0, FOREVER).rx_bytes;
            CHECK_EQ(all, n_buckets + 1);
            CHECK_EQ(total(f.ledger, ROLE_SERVER).rx_bytes, n_buckets + 1);
        }
}

RUN_TESTS()
