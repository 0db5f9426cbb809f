/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_COUNTERS_H
#define PORTMON_COUNTERS_H

#include "shared/traffic.h"

#include <stdint.h>

/**
 * What the kernel has counted for a port in one role since the counters were made. All but `live`
 * only grow (a byte counter may show one too many for a moment).
 */
struct counters {
    uint64_t rx_bytes;
    uint64_t tx_bytes;
    uint64_t rx_packets;
    uint64_t tx_packets;
    uint64_t opened;   /* connections established while watched */
    uint64_t unclosed; /* connections whose end was not seen yet: live, if no event was lost */
    uint64_t live;     /* connections open at the last walk */
};

/** The counters of one port. */
struct port_counters {
    uint16_t port;
    struct counters role[_ROLE_MAX];
};

#endif
