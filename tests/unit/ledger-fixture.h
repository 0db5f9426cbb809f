/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_UNIT_LEDGER_FIXTURE_H
#define PORTMON_UNIT_LEDGER_FIXTURE_H

/* A ledger in a directory of its own, and what is done with it again and again. */

#include "daemon/ledger.h"
#include "daemon/sql.h"
#include "shared/time-util.h"
#include "test.h"
#include "unit/util.h"

#include <errno.h>

#define PORT      5000
#define FILE_NAME "portmon.db"

/* Some 5 minutes of Monday, 23 November 2026, and a moment after all tests. */
#define START   (UINT64_C(1795450200) * USEC_PER_SEC)
#define FOREVER (UINT64_C(1) << 60)

static const struct traffic some = {1, 2, 3, 4, 5, 600, 7}, more = {10, 20, 30, 40, 50, 60, 70},
                            both = {11, 22, 33, 44, 55, 600, 70}, none;

#define CHECK_TRAFFIC(got, wanted) check_traffic(__LINE__, (got), (wanted))

static inline void check_traffic(int line, struct traffic got, struct traffic wanted)
{
    if (memcmp(&got, &wanted, sizeof(got)) != 0)
        CHECK_FAILED("line %d: got %" PRIu64 "/%" PRIu64 " bytes, not %" PRIu64 "/%" PRIu64
                     ", or other figures",
                     line, got.rx_bytes, got.tx_bytes, wanted.rx_bytes, wanted.tx_bytes);
}

struct fixture {
    char *scratch, *directory, *file;
    struct ledger *ledger;
};

static inline void fixture_clear(struct fixture *fixture)
{
    ledger_free(fixture->ledger);
    free(fixture->file);
    free(fixture->directory);
    scratch_remove(fixture->scratch);
}

#define _cleanup_fixture_ _cleanup_(fixture_clear)

/** Without a ledger, without a directory for it. */
static inline struct fixture fixture_empty(void)
{
    struct fixture fixture = {.scratch = scratch_make()};

    fixture.directory = scratch_path(fixture.scratch, "data");
    fixture.file = scratch_path(fixture.directory, FILE_NAME);
    return fixture;
}

/** Closes the ledger, if it is open, and opens it. Returns whether it had to be rescued. */
static inline bool reopen(struct fixture *fixture)
{
    struct reason reason = {};
    bool rescued = false;

    fixture->ledger = ledger_free(fixture->ledger);
    if (ledger_open(fixture->directory, &fixture->ledger, &rescued, &reason) < 0) {
        printf("Bail out! %s\n", reason.text);
        exit(EXIT_FAILURE);
    }
    return rescued;
}

static inline struct fixture fixture_make(void)
{
    struct fixture fixture = fixture_empty();

    CHECK(!reopen(&fixture));
    return fixture;
}

static inline void post(struct ledger *ledger, uint16_t port, enum role role, uint64_t start_usec,
                        struct traffic traffic)
{
    const struct interval interval = {start_usec, traffic};

    CHECK_EQ(ledger_post(ledger, port, role, &interval), 0);
}

/** Posts in a transaction of its own. */
static inline void commit(struct ledger *ledger, enum role role, uint64_t start_usec,
                          struct traffic traffic)
{
    CHECK_EQ(ledger_begin(ledger), 0);
    post(ledger, PORT, role, start_usec, traffic);
    CHECK_EQ(ledger_commit(ledger, start_usec, 0, false), 0);
}

static inline struct traffic total(struct ledger *ledger, enum role role)
{
    struct traffic traffic = {};

    CHECK_EQ(ledger_total(ledger, PORT, role, &traffic), 0);
    return traffic;
}

static inline struct traffic sum(struct ledger *ledger, enum role role, uint64_t from_usec,
                                 uint64_t until_usec)
{
    struct traffic traffic = {};

    CHECK_EQ(ledger_sum(ledger, PORT, role, from_usec, until_usec, &traffic), 0);
    return traffic;
}

/* ---- an oracle: all that was posted of a port's server role, one by one ---- */

struct posted {
    struct interval intervals[800];
    size_t n;
};

static inline struct traffic chance_traffic(uint64_t *state)
{
    return (struct traffic){
        .rx_bytes = 1 + chance_below(state, UINT64_C(1) << 40),
        .tx_bytes = chance_below(state, UINT64_C(1) << 40),
        .rx_packets = chance_below(state, 100000),
        .tx_packets = chance_below(state, 100000),
        .connections = chance_below(state, 100),
        .peak_rx_rate = chance_below(state, UINT64_C(1) << 30),
        .peak_tx_rate = chance_below(state, UINT64_C(1) << 30),
    };
}

/** Posts some intervals of @days days from @start_usec on, some of them more than once. */
static inline void post_any(struct ledger *ledger, struct posted *posted, uint64_t start_usec,
                            unsigned days, uint64_t *state)
{
    CHECK_EQ(ledger_begin(ledger), 0);
    for (posted->n = 0; posted->n < ELEMENTSOF(posted->intervals); posted->n++) {
        struct interval *interval = &posted->intervals[posted->n];

        interval->start_usec = start_usec + chance_below(state, days * 288) * BUCKET_USEC;
        interval->traffic = chance_traffic(state);
        post(ledger, PORT, ROLE_SERVER, interval->start_usec, interval->traffic);
        post(ledger, PORT, ROLE_CLIENT, interval->start_usec, some); /* must not be seen */
    }
    CHECK_EQ(ledger_commit(ledger, start_usec, 0, false), 0);
}

/** What the rows of [@from_usec, @until_usec) must be, if detail before @pruned_usec is gone. */
static inline void tell_history(const struct posted *posted, uint64_t from_usec,
                                uint64_t until_usec, enum resolution resolution,
                                uint64_t pruned_usec, struct history *ret)
{
    for (size_t i = 0; i < posted->n; i++) {
        const struct interval *interval = &posted->intervals[i];
        uint64_t start = interval->start_usec;

        if (start < pruned_usec) {
            if (resolution < RESOLUTION_DAY)
                continue;
            start = period_start(RESOLUTION_DAY, start);
        }
        if (start >= from_usec && start < until_usec)
            history_add(ret, period_start(resolution, start), &interval->traffic);
    }
}

static inline void check_range(struct ledger *ledger, const struct posted *posted,
                               uint64_t from_usec, uint64_t until_usec, enum resolution resolution,
                               uint64_t pruned_usec)
{
    _cleanup_history_ struct history got = {}, wanted = {};
    struct traffic all;

    tell_history(posted, from_usec, until_usec, resolution, pruned_usec, &wanted);
    CHECK_EQ(ledger_history(ledger, PORT, ROLE_SERVER, from_usec, until_usec, resolution, &got), 0);
    CHECK_EQ(got.n, wanted.n);
    for (size_t i = 0; i < got.n && i < wanted.n; i++) {
        CHECK_EQ(got.rows[i].start_usec, wanted.rows[i].start_usec);
        CHECK_TRAFFIC(got.rows[i].traffic, wanted.rows[i].traffic);
    }
    if (resolution < RESOLUTION_DAY)
        return;
    history_sum(&wanted, &all);
    CHECK_TRAFFIC(sum(ledger, ROLE_SERVER, from_usec, until_usec), all);
}

/** A moment in these days; often one where something begins, and one in a second. */
static inline uint64_t chance_moment(uint64_t start_usec, unsigned days, uint64_t *state)
{
    uint64_t moment = start_usec + chance_below(state, days * 86400 * USEC_PER_SEC);
    enum resolution resolution = chance_below(state, 2 * _RESOLUTION_MAX);

    if (resolution < _RESOLUTION_MAX)
        moment = period_start(resolution, moment);
    return moment + (chance_below(state, 8) == 0) * chance_below(state, USEC_PER_SEC);
}

/** Ranges of these days that begin and end anywhere, and all at once. */
static inline void check_any_ranges(struct ledger *ledger, const struct posted *posted,
                                    uint64_t start_usec, unsigned days, uint64_t pruned_usec,
                                    uint64_t *state)
{
    for (unsigned n = 0; n < 200; n++) {
        uint64_t from = chance_moment(start_usec, days, state);
        uint64_t until = chance_moment(start_usec, days, state);
        enum resolution resolution = n % _RESOLUTION_MAX;

        CONTEXT("%s: %" PRIu64 " to %" PRIu64 " by %s", getenv("TZ"), from, until,
                resolution_to_string(resolution));
        check_range(ledger, posted, from, until, resolution, pruned_usec);
    }
    CONTEXT("%s: all", getenv("TZ"));
    for (enum resolution resolution = 0; resolution < _RESOLUTION_MAX; resolution++)
        check_range(ledger, posted, 0, FOREVER, resolution, pruned_usec);
}

#endif
