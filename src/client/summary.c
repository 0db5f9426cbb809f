/* SPDX-License-Identifier: MIT */
#include "client/summary.h"

#include "shared/time-util.h"

#include <stdlib.h>

#define BUCKET_SEC (BUCKET_USEC / USEC_PER_SEC)

void summary_clear(struct summary *summary)
{
    history_clear(&summary->rows);
    gap_list_clear(&summary->gaps);
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}

/** The value that 95 of 100 of @n do not exceed; all but the @n_values in @values are 0. */
static uint64_t value_of_rank(uint64_t *values, size_t n_values, size_t n)
{
    size_t rank = (n * 95 + 99) / 100, zeros = n - n_values;

    qsort(values, n_values, sizeof(*values), compare_numbers);
    return rank <= zeros ? 0 : values[rank - zeros - 1];
}

void percentile_find(struct percentile *ret, const struct history *buckets, size_t n_intervals)
{
    size_t n = buckets->n < n_intervals ? buckets->n : n_intervals;
    _cleanup_free_ uint64_t *rx = calloc(n + 1, sizeof(*rx)), *tx = calloc(n + 1, sizeof(*tx));

    *ret = (struct percentile){};
    if (!rx || !tx || !n_intervals)
        return;
    for (size_t i = 0; i < n; i++) {
        rx[i] = buckets->rows[i].traffic.rx_bytes;
        tx[i] = buckets->rows[i].traffic.tx_bytes;
    }
    ret->rx_rate = value_of_rank(rx, n, n_intervals) / BUCKET_SEC;
    ret->tx_rate = value_of_rank(tx, n, n_intervals) / BUCKET_SEC;
    ret->n_intervals = n_intervals;
}

size_t intervals_over(uint64_t from_usec, uint64_t until_usec, uint64_t now_usec)
{
    uint64_t end = now_usec < until_usec ? now_usec : until_usec;

    return end > from_usec ? (end - from_usec) / BUCKET_USEC : 0;
}

static uint64_t extrapolate(uint64_t bytes, uint64_t elapsed, uint64_t whole)
{
    return (uint64_t) ((unsigned __int128) bytes * whole / elapsed);
}

void summary_estimate(struct summary *summary, uint64_t now_usec)
{
    const struct range *range = &summary->range;
    uint64_t whole = range->until_usec - range->from_usec;

    summary->unfinished = now_usec >= range->from_usec && now_usec < range->until_usec;
    if (!summary->unfinished || now_usec == range->from_usec)
        return;
    summary->estimated_rx = extrapolate(summary->total.rx_bytes, now_usec - range->from_usec,
                                        whole);
    summary->estimated_tx = extrapolate(summary->total.tx_bytes, now_usec - range->from_usec,
                                        whole);
}
