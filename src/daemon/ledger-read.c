/* SPDX-License-Identifier: MIT */
#include "daemon/ledger-internal.h"
#include "shared/time-util.h"

#include <errno.h>

static void read_traffic(struct statement *query, struct traffic *ret)
{
    *ret = (struct traffic){
        .rx_bytes = statement_number(query, 0),
        .tx_bytes = statement_number(query, 1),
        .rx_packets = statement_number(query, 2),
        .tx_packets = statement_number(query, 3),
        .connections = statement_number(query, 4),
        .peak_rx_rate = statement_number(query, 5),
        .peak_tx_rate = statement_number(query, 6),
    };
}

int ledger_total(struct ledger *ledger, uint16_t port, enum role role, struct traffic *ret)
{
    struct statement *query = ledger->queries[GET_TOTAL];
    int r;

    *ret = (struct traffic){};
    if ((r = statement_bind(query, "uuu", port, PROTOCOL_TCP, role)) < 0 ||
        (r = statement_step(query)) <= 0)
        return r;
    read_traffic(query, ret);
    statement_reset(query);
    return 0;
}

/* In the queries of buckets and days column 7 tells when the interval begins. */
/** Adds the current row of a query to the row of its period. */
static int add_row(struct statement *query, uint64_t start_usec, enum resolution resolution,
                   struct history *history)
{
    struct traffic traffic;

    read_traffic(query, &traffic);
    return history_add(history, period_start(resolution, start_usec), &traffic);
}

int ledger_read_buckets(struct statement *query, enum resolution resolution,
                        struct history *history)
{
    int r;

    while ((r = statement_step(query)) > 0) {
        r = add_row(query, statement_number(query, 7) * USEC_PER_SEC, resolution, history);
        if (r < 0) {
            statement_reset(query);
            return r;
        }
    }
    return r;
}

static int add_buckets(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
                       uint64_t until_usec, enum resolution resolution, struct history *history)
{
    struct statement *query = ledger->queries[GET_BUCKETS];
    int r;

    if (from_usec >= until_usec)
        return 0;
    r = statement_bind(query, "uuutt", port, PROTOCOL_TCP, role,
                       (from_usec + USEC_PER_SEC - 1) / USEC_PER_SEC,
                       (until_usec + USEC_PER_SEC - 1) / USEC_PER_SEC);
    return r < 0 ? r : ledger_read_buckets(query, resolution, history);
}

static int add_days(struct ledger *ledger, uint16_t port, enum role role, struct date from,
                    struct date until, enum resolution resolution, struct history *history)
{
    struct statement *query = ledger->queries[GET_DAYS];
    struct date date;
    int r;

    r = statement_bind(query, "uuuuu", port, PROTOCOL_TCP, role, date_to_number(from),
                       date_to_number(until));
    while (r >= 0 && (r = statement_step(query)) > 0) {
        date = date_from_number((uint32_t) statement_number(query, 7));
        r = add_row(query, date_start(date), resolution, history);
    }
    if (r < 0)
        statement_reset(query);
    return r;
}

/** The first day that begins at @usec or later. */
static struct date first_whole_day(uint64_t usec)
{
    struct date date = date_of(usec);

    return date_start(date) < usec ? date_add_days(date, 1) : date;
}

/* Whole days come from the rows of days, what is left at both ends from the buckets. Where those
 * are gone by now, a day belongs to the range if it begins in it. */
int ledger_history(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
                   uint64_t until_usec, enum resolution resolution, struct history *history)
{
    struct date first = first_whole_day(from_usec), end = date_of(until_usec);
    int r;

    if (until_usec <= ledger->detail_from_usec)
        end = first_whole_day(until_usec);
    if (resolution < RESOLUTION_DAY || date_compare(first, end) >= 0)
        return add_buckets(ledger, port, role, from_usec, until_usec, resolution, history);
    if ((r = add_buckets(ledger, port, role, from_usec, date_start(first), resolution, history)) <
            0 ||
        (r = add_days(ledger, port, role, first, end, resolution, history)) < 0 ||
        (r = add_buckets(ledger, port, role, date_start(end), until_usec, resolution, history)) < 0)
        return r;
    return 0;
}

int ledger_sum(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
               uint64_t until_usec, struct traffic *ret)
{
    _cleanup_history_ struct history history = {};
    int r = ledger_history(ledger, port, role, from_usec, until_usec, RESOLUTION_DAY, &history);

    if (r < 0)
        return r;
    history_sum(&history, ret);
    return 0;
}

int ledger_gaps(struct ledger *ledger, uint64_t from_usec, uint64_t until_usec,
                struct gap_list *ret)
{
    struct statement *query = ledger->queries[GET_GAPS];
    struct gap gap;
    int r, reason;

    r = statement_bind(query, "tt", from_usec, until_usec);
    while (r >= 0 && (r = statement_step(query)) > 0) {
        reason = gap_reason_from_string(statement_text(query, 2) ?: "");
        if (reason < 0)
            continue; /* a newer portmon's */
        gap = (struct gap){
            .from_usec = statement_number(query, 0),
            .until_usec = statement_number(query, 1),
            .reason = (enum gap_reason) reason,
        };
        r = gap_list_add(ret, &gap);
    }
    if (r < 0)
        statement_reset(query);
    return r;
}
