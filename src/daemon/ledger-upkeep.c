/* SPDX-License-Identifier: MIT */
#include "daemon/ledger-internal.h"
#include "shared/time-util.h"

#include <errno.h>

/* Ports in one transaction of pruning: some milliseconds, so that no flush waits for it. */
#define PRUNE_PORTS 16

/* Pages given back to the file system in one step. */
#define VACUUM_PAGES "64"

#define SEC_PER_DAY UINT64_C(86400)

/* ---- forgetting detail ---- */

/** Deletes the oldest day of an account's detail before @until_usec. Returns 1 if there was any. */
static int prune_account(struct ledger *ledger, uint16_t port, enum role role, uint64_t until_usec)
{
    struct statement *first = ledger->queries[GET_FIRST_BUCKET];
    uint64_t from, until = until_usec / USEC_PER_SEC;
    int r;

    r = RUN_FOR_ROW(ledger, GET_FIRST_BUCKET, "uuu", port, PROTOCOL_TCP, role);
    if (r <= 0)
        return r;
    from = statement_number(first, 0);
    statement_reset(first);
    if (from >= until)
        return 0;
    if (until > from + SEC_PER_DAY)
        until = from + SEC_PER_DAY;
    r = RUN(ledger, DELETE_BUCKETS, "uuutt", port, PROTOCOL_TCP, role, from, until);
    return r < 0 ? r : 1;
}

/** The first known port from @from on; 0 if there is none. */
static int next_port(struct ledger *ledger, unsigned from, unsigned *ret)
{
    struct statement *query = ledger->queries[NEXT_PORT];
    int r = RUN_FOR_ROW(ledger, NEXT_PORT, "u", from);

    if (r < 0)
        return r;
    *ret = r > 0 ? (unsigned) statement_number(query, 0) : 0;
    statement_reset(query);
    return 0;
}

/** Goes on with the pass. Returns 1 if something was deleted. */
static int prune_some(struct ledger *ledger)
{
    bool any = false;
    unsigned port;
    int r;

    for (int i = 0; i < PRUNE_PORTS && ledger->prune_port; i++) {
        bool more = false;

        if ((r = next_port(ledger, ledger->prune_port, &port)) < 0)
            return r;
        for (enum role role = 0; port && role < _ROLE_MAX; role++) {
            r = prune_account(ledger, (uint16_t) port, role, ledger->prune_until_usec);
            if (r < 0)
                return r;
            more |= r > 0;
        }
        any |= more;
        if (!more) /* else this port may have more days to forget */
            ledger->prune_port = port ? port + 1 : 0;
    }
    return any;
}

/** Gives pages that became free back to the file system. */
static int vacuum_some(struct ledger *ledger)
{
    int64_t n_free;
    int r = sql_get_number(ledger->sql, "PRAGMA freelist_count", &n_free);

    if (r < 0 || n_free == 0)
        return r;
    r = sql_run(ledger->sql, "PRAGMA incremental_vacuum(" VACUUM_PAGES ")");
    return r < 0 ? r : 1;
}

/** Begins a pass that forgets what is older than @until. */
static int begin_pass(struct ledger *ledger, uint64_t until_usec)
{
    int r = RUN(ledger, SET_DETAIL_FROM, "t", until_usec);

    if (r < 0)
        return r;
    ledger->detail_from_usec = until_usec;
    ledger->prune_until_usec = until_usec;
    ledger->prune_port = 1;
    return 0;
}

int ledger_prune(struct ledger *ledger, struct date horizon)
{
    uint64_t until = date_start(horizon);
    unsigned port;
    int r, any;

    if (!ledger->prune_port) {
        if (until <= ledger->detail_from_usec)
            return vacuum_some(ledger);
        r = begin_pass(ledger, until);
        if (r < 0)
            return r;
    }
    port = ledger->prune_port;
    if ((r = ledger_begin(ledger)) < 0)
        return r;
    if ((any = prune_some(ledger)) < 0 || (r = ledger_commit_rest(ledger)) < 0) {
        ledger_rollback(ledger);
        ledger->prune_port = port;
        return any < 0 ? any : r;
    }
    return any || ledger->prune_port;
}

/* ---- dating anew ---- */

/** Takes traffic out of a bucket and of its day. Returns 1 if there was such a bucket. */
static int take_interval(struct ledger *ledger, uint16_t port, enum role role, uint64_t start,
                         const struct traffic *t)
{
    int r = RUN_FOR_ROW(ledger, TAKE_BUCKET, "tttttuuut", t->rx_bytes, t->tx_bytes, t->rx_packets,
                        t->tx_packets, t->connections, port, PROTOCOL_TCP, role, start);
    unsigned date;

    if (r <= 0)
        return r;
    date = (unsigned) statement_number(ledger->queries[TAKE_BUCKET], 0);
    statement_reset(ledger->queries[TAKE_BUCKET]);
    if ((r = RUN(ledger, TAKE_DAY, "tttttuuuu", t->rx_bytes, t->tx_bytes, t->rx_packets,
                 t->tx_packets, t->connections, port, PROTOCOL_TCP, role, date)) < 0 ||
        (r = RUN(ledger, DELETE_EMPTY_BUCKET, "uuut", port, PROTOCOL_TCP, role, start)) < 0 ||
        (r = RUN(ledger, DELETE_EMPTY_DAY, "uuuu", port, PROTOCOL_TCP, role, date)) < 0)
        return r;
    return 1;
}

/* A peak goes along, and stays where it was if other traffic does. */
int ledger_move(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
                uint64_t to_usec, const struct traffic *traffic)
{
    uint64_t from = period_start(RESOLUTION_5MIN, from_usec) / USEC_PER_SEC;
    uint64_t to = period_start(RESOLUTION_5MIN, to_usec) / USEC_PER_SEC;
    int r = from == to ? 0 : take_interval(ledger, port, role, from, traffic);

    return r <= 0 ? r : ledger_post_interval(ledger, port, role, to, traffic);
}
