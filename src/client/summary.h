/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_SUMMARY_H
#define PORTMON_SUMMARY_H

/* What can be said of a range beyond its rows. Pure. */

#include "client/range.h"
#include "shared/gap.h"
#include "shared/history.h"

#include <stdbool.h>

/**
 * The 95th percentile of the rates of the range's 5-minute intervals, those without traffic
 * included: the lowest rate that 95 of 100 intervals do not exceed (nearest rank).
 */
struct percentile {
    uint64_t rx_rate; /* bytes per second */
    uint64_t tx_rate;
    size_t n_intervals; /* that are over; 0 if it can't be told */
};

/** A range of one port in one role. */
struct summary {
    struct range range;
    struct traffic total;
    struct history rows; /* as finely as was asked for */
    struct gap_list gaps;
    struct percentile percentile;
    bool unfinished;
    uint64_t estimated_rx; /* if unfinished: bytes at its end, should it go on like this */
    uint64_t estimated_tx;
};

void summary_clear(struct summary *summary);
#define _cleanup_summary_ __attribute__((cleanup(summary_clear)))

/** Finds the percentile of @n_intervals, of which @buckets are those with traffic. */
void percentile_find(struct percentile *ret, const struct history *buckets, size_t n_intervals);

/** The 5-minute intervals from @from_usec on that are over by @now_usec, up to @until_usec. */
size_t intervals_over(uint64_t from_usec, uint64_t until_usec, uint64_t now_usec);

/** Fills in whether the range is over, and if not, what it comes to. */
void summary_estimate(struct summary *summary, uint64_t now_usec);

#endif
