/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_TIME_UTIL_H
#define PORTMON_TIME_UTIL_H

#include <stdint.h>
#include <time.h>

#define USEC_PER_SEC  UINT64_C(1000000)
#define NSEC_PER_USEC UINT64_C(1000)
#define NSEC_PER_SEC  UINT64_C(1000000000)

/** No traffic was counted before this: a clock that says so is wrong. (The beginning of 2026.) */
#define CLOCK_FLOOR_USEC (UINT64_C(1767225600) * USEC_PER_SEC)

/** Microseconds on @clock. */
static inline uint64_t now_usec(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t) now.tv_sec * USEC_PER_SEC + (uint64_t) now.tv_nsec / NSEC_PER_USEC;
}

/** The last multiple of @unit that is not after @usec. */
static inline uint64_t usec_floor(uint64_t usec, uint64_t unit)
{
    return usec - usec % unit;
}

/** The moment @duration before @usec; none is before the epoch. */
static inline uint64_t usec_before(uint64_t usec, uint64_t duration)
{
    return usec > duration ? usec - duration : 0;
}

/** The moment @shift later, or earlier if it is negative. */
static inline uint64_t usec_shift(uint64_t usec, int64_t shift)
{
    return shift < 0 ? usec_before(usec, -(uint64_t) shift) : usec + (uint64_t) shift;
}

#endif
