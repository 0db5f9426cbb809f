/* SPDX-License-Identifier: MIT */
#include "daemon/monitor-internal.h"
#include "shared/format.h"
#include "shared/log.h"
#include "shared/time-util.h"

struct gap monitor_absence(const struct monitor *monitor)
{
    uint64_t until = monitor->first_usec;
    struct gap gap = {usec_before(until, monitor->absent_usec), until, monitor->absent_reason};

    if (monitor->absent_from_usec)
        gap.from_usec = monitor->absent_from_usec;
    if (gap.until_usec < gap.from_usec) /* by a clock that is wrong; we learn when it is set */
        gap.until_usec = gap.from_usec;
    return gap;
}

bool monitor_clock_is_trusted(const struct monitor *monitor)
{
    return wall_clock_is_trusted(&monitor->clock, now_usec(CLOCK_REALTIME),
                                 now_usec(CLOCK_BOOTTIME));
}

/** Dates gaps anew that are not in the ledger yet. What came before us, another clock has dated. */
static void shift_gaps(struct monitor *monitor, int64_t step)
{
    for (size_t i = 0; i < monitor->gaps.n; i++) {
        struct gap *gap = &monitor->gaps.gaps[i];

        if (gap->reason == GAP_CLOCK || gap->from_usec < monitor->first_usec)
            continue;
        gap->from_usec = usec_shift(gap->from_usec, step);
        gap->until_usec = usec_shift(gap->until_usec, step);
    }
}

/* A clock that runs as it should and is set was right before, or is right now: who knows. Its past
 * stays as it is, but for what would lie in the future, and a gap says so. When a clock is set that
 * was set before, or that has not run for long, everything that it has dated moves along: either it
 * was wrong from the beginning, or it is put right again. */
static void on_clock_set(struct monitor *monitor, int64_t step, uint64_t now, bool settled)
{
    uint64_t before = now - (uint64_t) step;
    char text[FORMAT_SIZE];

    log_notice("The clock was set %s by %s", step < 0 ? "back" : "forward",
               format_duration(text, (uint64_t) (step < 0 ? -step : step)));
    if (settled)
        monitor_note_gap(monitor, GAP_CLOCK, step < 0 ? now : before, step < 0 ? before : now);
    else
        shift_gaps(monitor, step);
    collector_shift(monitor->collector, step, now, !settled);
    if (!monitor->was_settled)
        monitor->first_usec = usec_shift(monitor->first_usec, step);
    monitor->looked_usec = usec_shift(monitor->looked_usec, step);
}

int64_t monitor_observe_clock(struct monitor *monitor, uint64_t now, uint64_t boottime)
{
    uint64_t expected = boottime + (uint64_t) monitor->clock.offset_usec;
    bool settled = wall_clock_is_settled(&monitor->clock, expected, boottime);
    int64_t step = wall_clock_observe(&monitor->clock, now, boottime);

    monitor->was_settled |= settled;
    if (step)
        on_clock_set(monitor, step, now, settled);
    return step;
}
