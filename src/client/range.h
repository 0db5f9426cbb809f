/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_RANGE_H
#define PORTMON_RANGE_H

#include "shared/calendar.h"

#include <stdint.h>

/** The ways to name a range of days. */
enum range_kind {
    RANGE_NONE, /* none was named */
    RANGE_TODAY,
    RANGE_THIS_MONTH,
    RANGE_LAST_7_DAYS,
    RANGE_LAST_30_DAYS,
    RANGE_CYCLE,
    RANGE_DATES,
};

/** A range as it was asked for. */
struct range_request {
    enum range_kind kind;
    int cycle_day;    /* RANGE_CYCLE: 1..31, or 0 for the port's own */
    int cycle_offset; /* RANGE_CYCLE: 0 is the current one, -1 the one before */
    struct date from; /* RANGE_DATES: both inclusive */
    struct date to;
};

/** Days, both inclusive, and the moments from the first to the end of the last. */
struct range {
    struct date first;
    struct date last;
    uint64_t from_usec;
    uint64_t until_usec;
};

/**
 * Finds the days of a request, other than RANGE_NONE, in the local time zone. @cycle_day is used
 * where the request has none of its own.
 */
struct range range_resolve(const struct range_request *request, int cycle_day, struct date today);

#endif
