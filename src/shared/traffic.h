/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_TRAFFIC_H
#define PORTMON_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

/** How a connection concerns a port: accepted on it, or opened from here to it elsewhere. */
enum role {
    ROLE_SERVER,
    ROLE_CLIENT,
    _ROLE_MAX,
};

/** "server" or "client". */
const char *role_to_string(enum role role);

/** Returns the role of that name, or -EINVAL. */
int role_from_string(const char *name);

/** What was transferred in some interval. */
struct traffic {
    uint64_t rx_bytes; /* octets of TCP streams, no headers, no retransmissions */
    uint64_t tx_bytes;
    uint64_t rx_packets; /* segments, pure acknowledgements included */
    uint64_t tx_packets;
    uint64_t connections;  /* that became established in the interval */
    uint64_t peak_rx_rate; /* bytes per second, the highest of any one-second interval */
    uint64_t peak_tx_rate;
};

/** A traffic record with the beginning of its interval: the `(tttttttt)` of the bus. */
struct interval {
    uint64_t start_usec; /* CLOCK_REALTIME */
    struct traffic traffic;
};

/** Adds @more to @sum: amounts add up, of peaks the higher one stays. */
void traffic_add(struct traffic *sum, const struct traffic *more);

/** Whether there is nothing in it. */
bool traffic_is_empty(const struct traffic *traffic);

#endif
