/* SPDX-License-Identifier: MIT */
#include "client/range.h"

struct range range_resolve(const struct range_request *request, int cycle_day, struct date today)
{
    struct range range = {.first = today, .last = today};

    if (request->cycle_day)
        cycle_day = request->cycle_day;
    switch (request->kind) {
    case RANGE_NONE:
    case RANGE_TODAY:
        break;
    case RANGE_THIS_MONTH:
        range.first = date_month(today);
        range.last = date_add_days(date_add_months(range.first, 1), -1);
        break;
    case RANGE_LAST_7_DAYS:
        range.first = date_add_days(today, -6);
        break;
    case RANGE_LAST_30_DAYS:
        range.first = date_add_days(today, -29);
        break;
    case RANGE_CYCLE:
        range.first = cycle_start(today, cycle_day, request->cycle_offset);
        range.last = date_add_days(cycle_start(today, cycle_day, request->cycle_offset + 1), -1);
        break;
    case RANGE_DATES:
        range.first = request->from;
        range.last = request->to;
        break;
    }
    range.from_usec = date_start(range.first);
    range.until_usec = date_start(date_add_days(range.last, 1));
    /* No moment is before the epoch, and a range is never empty. */
    if (range.until_usec <= range.from_usec)
        range.until_usec = range.from_usec + 1;
    return range;
}
