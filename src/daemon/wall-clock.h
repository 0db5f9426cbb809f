/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_WALL_CLOCK_H
#define PORTMON_WALL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/**
 * Notices when somebody sets the wall clock, by the clock that nobody can set. Zeroed, it has seen
 * nothing yet. Pure: the times are arguments.
 */
struct wall_clock {
    int64_t offset_usec; /* CLOCK_REALTIME less CLOCK_BOOTTIME */
    bool seen;
};

/** Less than this is adjustment, as NTP does it all the time. */
#define CLOCK_STEP_USEC INT64_C(2000000)

/** No traffic was counted before this: a clock that says so is wrong. (The beginning of 2026.) */
#define CLOCK_FLOOR_USEC (UINT64_C(1767225600) * 1000000)

/** Returns by how much the wall clock was set since the last call; 0 if it merely ran on. */
int64_t wall_clock_observe(struct wall_clock *clock, uint64_t realtime_usec,
                           uint64_t boottime_usec);

#endif
