/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_SERIES_H
#define PORTMON_SERIES_H

/*
 * The rates of a port over its last minutes, second by second, from samples taken at any times: the
 * bytes between two samples are spread evenly over the time between them. Pure.
 */

#include <stddef.h>
#include <stdint.h>

enum direction {
    DIRECTION_RX,
    DIRECTION_TX,
    _DIRECTION_MAX,
};

/** What is kept: enough for a graph 300 columns wide, in braille, which shows two to a column. */
#define SERIES_SECONDS 640

/** Empty when zeroed. */
struct series {
    uint64_t until_usec; /* up to where it is known; the second that this is in is not over */
    float rates[_DIRECTION_MAX][SERIES_SECONDS]; /* bytes per second; NaN: not known */
};

/**
 * Adds what was transferred in [@from_usec, @until_usec). What lies between the end of what was
 * added before and @from_usec is not known, nor is the second that such a hole ends in.
 */
void series_add(struct series *series, uint64_t from_usec, uint64_t until_usec,
                const uint64_t bytes[static _DIRECTION_MAX]);

/** The rate in a second that is over, counted from the epoch of the samples; NaN if not known. */
float series_at(const struct series *series, enum direction direction, uint64_t second);

/** Writes the rates of @n seconds of which @last is the last, the oldest first. */
void series_copy(const struct series *series, enum direction direction, uint64_t last, float *ret,
                 size_t n);

/** The highest of some rates; 0 if none is known. */
float series_highest(const float *rates, size_t n);

#endif
