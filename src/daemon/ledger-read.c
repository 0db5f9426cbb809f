/* SPDX-License-Identifier: MIT */
#include "daemon/ledger-internal.h"
#include "shared/time-util.h"

#include <errno.h>

/* From one time zone to any other midnight moves by less than this. */
#define MAX_ZONE_CHANGE_USEC (26 * 3600 * USEC_PER_SEC)

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

int ledger_begin_reading(struct ledger *ledger)
{
    return RUN(ledger, BEGIN_READING, "");
}

void ledger_end_reading(struct ledger *ledger)
{
    RUN(ledger, END_READING, "");
}

int ledger_total(struct ledger *ledger, uint16_t port, enum role role, struct traffic *ret)
{
    struct statement *query = ledger->queries[GET_TOTAL];
    int r;

    *ret = (struct traffic){};
    r = RUN_FOR_ROW(ledger, GET_TOTAL, "uuu", port, PROTOCOL_TCP, role);
    if (r <= 0)
        return r;
    read_traffic(query, ret);
    statement_reset(query);
    return 0;
}

/** The last period that rows were added to. Asking the calendar for each row would take longer than
 * reading the rows. */
struct period {
    uint64_t start_usec;
    uint64_t end_usec;
};

/** Adds the current row of a query to the row of its period. */
static int add_row(struct statement *query, uint64_t start_usec, enum resolution resolution,
                   struct period *period, struct history *history)
{
    struct traffic traffic;

    if (start_usec < period->start_usec || start_usec >= period->end_usec)
        *period = (struct period){
            .start_usec = period_start(resolution, start_usec),
            .end_usec = period_end(resolution, start_usec),
        };
    read_traffic(query, &traffic);
    return history_add(history, period->start_usec, &traffic);
}

/* Of buckets column 7 tells when they begin and column 8 the day that they are part of, of days
 * column 7 tells the day. */

static uint64_t row_start(struct statement *query, enum resolution resolution)
{
    return resolution < RESOLUTION_DAY
               ? statement_number(query, 7) * USEC_PER_SEC
               : date_start(date_from_number((uint32_t) statement_number(query, 8)));
}

/** Days from @first until before @end, as numbers. */
struct dates {
    uint32_t first;
    uint32_t end;
};

static const struct dates all_dates = {0, UINT32_MAX};

/** Adds the buckets of [from_usec, until_usec) that are part of one of these days. */
static int add_buckets(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
                       uint64_t until_usec, struct dates dates, enum resolution resolution,
                       struct history *history)
{
    struct statement *query = ledger->queries[GET_BUCKETS];
    struct period period = {};
    int r;

    if (from_usec >= until_usec)
        return 0;
    r = statement_bind(query, "uuuttuu", port, PROTOCOL_TCP, role,
                       (from_usec + USEC_PER_SEC - 1) / USEC_PER_SEC,
                       (until_usec + USEC_PER_SEC - 1) / USEC_PER_SEC, dates.first, dates.end);
    while (r >= 0 && (r = statement_step(query)) > 0)
        r = add_row(query, row_start(query, resolution), resolution, &period, history);
    if (r < 0)
        statement_reset(query);
    return r;
}

static int add_days(struct ledger *ledger, uint16_t port, enum role role, struct dates dates,
                    enum resolution resolution, struct history *history)
{
    struct statement *query = ledger->queries[GET_DAYS];
    struct period period = {};
    struct date date;
    int r;

    r = statement_bind(query, "uuuuu", port, PROTOCOL_TCP, role, dates.first, dates.end);
    while (r >= 0 && (r = statement_step(query)) > 0) {
        date = date_from_number((uint32_t) statement_number(query, 7));
        r = add_row(query, date_start(date), resolution, &period, history);
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
 * are gone by now, a day belongs to the range if it begins in it.
 *
 * After a change of the time zone days may begin at other times than when they were written: the
 * buckets at the ends are those that are not part of a whole day, so that nothing counts twice. */
int ledger_history(struct ledger *ledger, uint16_t port, enum role role, uint64_t from_usec,
                   uint64_t until_usec, enum resolution resolution, struct history *history)
{
    struct date first = first_whole_day(from_usec), end = date_of(until_usec);
    uint64_t first_usec, end_usec;
    struct dates whole;
    int r;

    if (until_usec <= ledger->detail_from_usec)
        end = first_whole_day(until_usec);
    if (resolution < RESOLUTION_DAY || date_compare(first, end) >= 0)
        return add_buckets(ledger, port, role, from_usec, until_usec, all_dates, resolution,
                           history);
    first_usec = date_start(first);
    end_usec = date_start(end);
    whole = (struct dates){date_to_number(first), date_to_number(end)};
    r = add_days(ledger, port, role, whole, resolution, history);
    if (r >= 0 && from_usec < first_usec)
        r = add_buckets(ledger, port, role, from_usec, first_usec + MAX_ZONE_CHANGE_USEC,
                        (struct dates){all_dates.first, whole.first}, resolution, history);
    if (r >= 0 && end_usec < until_usec)
        r = add_buckets(ledger, port, role, usec_before(end_usec, MAX_ZONE_CHANGE_USEC), until_usec,
                        (struct dates){whole.end, all_dates.end}, resolution, history);
    return r;
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
