/* SPDX-License-Identifier: MIT */
#include "daemon/wall-clock.h"

int64_t wall_clock_observe(struct wall_clock *clock, uint64_t realtime_usec, uint64_t boottime_usec)
{
    int64_t offset = (int64_t) (realtime_usec - boottime_usec);
    int64_t step = clock->seen ? offset - clock->offset_usec : 0;

    clock->offset_usec = offset;
    clock->seen = true;
    return step >= CLOCK_STEP_USEC || step <= -CLOCK_STEP_USEC ? step : 0;
}
