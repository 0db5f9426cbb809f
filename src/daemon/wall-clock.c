/* SPDX-License-Identifier: MIT */
#include "daemon/wall-clock.h"

void wall_clock_start(struct wall_clock *clock, uint64_t realtime_usec, uint64_t boottime_usec,
                      uint64_t known_usec)
{
    bool odd = realtime_usec < known_usec || realtime_usec - known_usec > CLOCK_ABSENCE_USEC;

    wall_clock_observe(clock, realtime_usec, boottime_usec);
    clock->settled_usec = boottime_usec + CLOCK_SETTLING_USEC;
    clock->trusted_usec = odd ? clock->settled_usec : boottime_usec;
}

int64_t wall_clock_observe(struct wall_clock *clock, uint64_t realtime_usec, uint64_t boottime_usec)
{
    int64_t offset = (int64_t) (realtime_usec - boottime_usec);
    int64_t step = clock->seen ? offset - clock->offset_usec : 0;
    uint64_t amount = (uint64_t) (step < 0 ? -step : step);

    clock->offset_usec = offset;
    clock->seen = true;
    if (amount < CLOCK_STEP_USEC)
        return 0;
    clock->settled_usec = boottime_usec + CLOCK_SETTLING_USEC;
    if (amount >= CLOCK_LARGE_STEP_USEC)
        clock->trusted_usec = clock->settled_usec;
    return step;
}

bool wall_clock_is_settled(const struct wall_clock *clock, uint64_t realtime_usec,
                           uint64_t boottime_usec)
{
    return realtime_usec >= CLOCK_FLOOR_USEC && boottime_usec >= clock->settled_usec;
}

bool wall_clock_is_trusted(const struct wall_clock *clock, uint64_t realtime_usec,
                           uint64_t boottime_usec)
{
    return realtime_usec >= CLOCK_FLOOR_USEC && boottime_usec >= clock->trusted_usec;
}
