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

    if ((r = statement_bind(first, "uuu", port, PROTOCOL_TCP, role)) < 0 ||
        (r = statement_step(first)) <= 0)
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
    int r;

    if ((r = statement_bind(query, "u", from)) < 0 || (r = statement_step(query)) < 0)
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

int ledger_prune(struct ledger *ledger, struct date horizon)
{
    uint64_t until = date_start(horizon);
    int r, any;

    if (!ledger->prune_port) {
        if (until <= ledger->detail_from_usec)
            return vacuum_some(ledger);
        r = RUN(ledger, SET_DETAIL_FROM, "t", until);
        if (r < 0)
            return r;
        ledger->detail_from_usec = until;
        ledger->prune_until_usec = until;
        ledger->prune_port = 1;
    }
    if ((r = ledger_begin(ledger)) < 0)
        return r;
    if ((any = prune_some(ledger)) < 0 || (r = sql_run(ledger->sql, "COMMIT")) < 0) {
        ledger_rollback(ledger);
        return any < 0 ? any : r;
    }
    return any || ledger->prune_port;
}

/* ---- dating anew ---- */

/** Makes the row of a day anew from its buckets. */
static int sum_day(struct ledger *ledger, uint16_t port, enum role role, struct date date)
{
    int r = RUN(ledger, DELETE_DAY, "uuuu", port, PROTOCOL_TCP, role, date_to_number(date));

    if (r < 0)
        return r;
    return RUN(ledger, SUM_DAY, "uuuutt", port, PROTOCOL_TCP, role, date_to_number(date),
               date_start(date) / USEC_PER_SEC, date_start(date_add_days(date, 1)) / USEC_PER_SEC);
}

/** Takes an account's buckets of [from_usec, until_usec) out of the ledger, into @history. */
static int take_buckets(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
                        uint64_t until_usec, struct history *history)
{
    struct statement *query = ledger->queries[TAKE_BUCKETS];
    int r = statement_bind(query, "uuutt", port, PROTOCOL_TCP, role, from_usec / USEC_PER_SEC,
                           until_usec / USEC_PER_SEC);

    return r < 0 ? r : ledger_read_buckets(query, RESOLUTION_5MIN, history);
}

static int redate_account(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
                          uint64_t until_usec, int64_t shift_usec, uint64_t latest_usec)
{
    _cleanup_history_ struct history history = {};
    int r = take_buckets(ledger, port, role, from_usec, until_usec, &history);

    for (size_t i = 0; r >= 0 && i < history.n; i++) {
        uint64_t old = history.rows[i].start_usec, new = old + (uint64_t) shift_usec;
        uint64_t start;

        if (new > latest_usec)
            new = latest_usec;
        new = period_start(RESOLUTION_5MIN, new);
        start = new / USEC_PER_SEC;
        if ((r = ledger_post_traffic(ledger, POST_BUCKET, port, role, &start,
                                     &history.rows[i].traffic)) >= 0 &&
            (r = sum_day(ledger, port, role, date_of(old))) >= 0)
            r = sum_day(ledger, port, role, date_of(new));
    }
    return r;
}

int ledger_redate(struct ledger *ledger, uint64_t from_usec, uint64_t until_usec,
                  int64_t shift_usec, uint64_t latest_usec)
{
    unsigned port = 0;
    int r;

    while ((r = next_port(ledger, port + 1, &port)) >= 0 && port)
        for (enum role role = 0; role < _ROLE_MAX; role++) {
            r = redate_account(ledger, (uint16_t) port, role, from_usec, until_usec, shift_usec,
                               latest_usec);
            if (r < 0)
                return r;
        }
    return r;
}
