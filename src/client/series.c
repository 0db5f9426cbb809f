/* SPDX-License-Identifier: MIT */
#include "client/series.h"

#include "shared/time-util.h"

#include <math.h>

static void set(struct series *series, uint64_t second, float value)
{
    for (enum direction d = 0; d < _DIRECTION_MAX; d++)
        series->rates[d][second % SERIES_SECONDS] = value;
}

/** Goes to @usec without knowing what was before it. */
static void skip_to(struct series *series, uint64_t usec)
{
    uint64_t second = series->until_usec / USEC_PER_SEC, last = usec / USEC_PER_SEC;

    if (last >= SERIES_SECONDS && second < last - SERIES_SECONDS)
        second = last - SERIES_SECONDS;
    for (; second < last; second++)
        set(series, second, NAN);
    set(series, last, usec % USEC_PER_SEC ? NAN : 0);
    series->until_usec = usec;
}

void series_add(struct series *series, uint64_t from_usec, uint64_t until_usec,
                const uint64_t bytes[static _DIRECTION_MAX])
{
    uint64_t next;

    if (from_usec >= until_usec || until_usec <= series->until_usec)
        return;
    if (from_usec != series->until_usec)
        skip_to(series, from_usec);
    for (uint64_t at = from_usec; at < until_usec; at = next) {
        uint64_t second = at / USEC_PER_SEC;
        double part;

        next = (second + 1) * USEC_PER_SEC;
        part = (double) ((next < until_usec ? next : until_usec) - at) /
               (double) (until_usec - from_usec);
        for (enum direction d = 0; d < _DIRECTION_MAX; d++)
            series->rates[d][second % SERIES_SECONDS] += (float) (part * (double) bytes[d]);
        if (next <= until_usec)
            set(series, second + 1, 0);
    }
    series->until_usec = until_usec;
}

float series_at(const struct series *series, enum direction direction, uint64_t second)
{
    uint64_t current = series->until_usec / USEC_PER_SEC;

    /* The current second has taken the place of the one that was SERIES_SECONDS before it. */
    if (second >= current || second + SERIES_SECONDS <= current)
        return NAN;
    return series->rates[direction][second % SERIES_SECONDS];
}

void series_copy(const struct series *series, enum direction direction, uint64_t last, float *ret,
                 size_t n)
{
    for (size_t i = 0; i < n; i++)
        ret[i] = last + i + 1 < n ? NAN : series_at(series, direction, last + i + 1 - n);
}

float series_highest(const float *rates, size_t n)
{
    float highest = 0;

    for (size_t i = 0; i < n; i++)
        if (rates[i] > highest) /* which NaN is not */
            highest = rates[i];
    return highest;
}
