/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_WALL_CLOCK_H
#define PORTMON_WALL_CLOCK_H

#include "shared/time-util.h"

#include <stdbool.h>

/**
 * Notices when somebody sets the wall clock, by the clock that nobody can set, and knows how far it
 * can be trusted. Zeroed, it has seen nothing yet. Pure: the times are arguments.
 */
struct wall_clock {
    int64_t offset_usec; /* CLOCK_REALTIME less CLOCK_BOOTTIME */
    bool seen;
    uint64_t settled_usec; /* CLOCK_BOOTTIME: see the functions below */
    uint64_t trusted_usec;
};

/** Less than this is adjustment, as NTP does it all the time. */
#define CLOCK_STEP_USEC INT64_C(2000000)

/** A day after it was set a clock is as it is meant to be. */
#define CLOCK_SETTLING_USEC (UINT64_C(86400) * 1000000)

/** By less a clock that was forgotten in winter is wrong, or one that nobody adjusts. */
#define CLOCK_LARGE_STEP_USEC (UINT64_C(5400) * 1000000)

/** A clock that went on for longer without us may be wrong by years: its battery is empty. */
#define CLOCK_ABSENCE_USEC (UINT64_C(7) * 86400 * 1000000)

/** Begins to watch the clock. @known_usec: it was that late before; 0 if that is not known. */
void wall_clock_start(struct wall_clock *clock, uint64_t realtime_usec, uint64_t boottime_usec,
                      uint64_t known_usec);

/** Returns by how much the wall clock was set since the last call; 0 if it merely ran on. */
int64_t wall_clock_observe(struct wall_clock *clock, uint64_t realtime_usec,
                           uint64_t boottime_usec);

/**
 * Whether the clock runs as it is meant to for a day. Before, what was dated by it is dated anew if
 * it is set: it was wrong from the beginning, or it is set back to what it was before.
 */
bool wall_clock_is_settled(const struct wall_clock *clock, uint64_t realtime_usec,
                           uint64_t boottime_usec);

/** Whether something may be deleted because the clock says that it is old. */
bool wall_clock_is_trusted(const struct wall_clock *clock, uint64_t realtime_usec,
                           uint64_t boottime_usec);

#endif
