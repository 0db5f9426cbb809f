/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_PROBE_NETLINK_H
#define PORTMON_PROBE_NETLINK_H

/* The kernel's socket statistics: what NETLINK_SOCK_DIAG says of TCP sockets, as plain structs. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A socket of our network namespace. */
struct diag_socket {
    uint64_t cookie; /* tells it from any other, ever */
    struct in6_addr local_address;
    struct in6_addr remote_address;
    uint16_t local_port;
    uint16_t remote_port;
    uint8_t state;
    uint64_t bytes_received; /* the peer's FIN counts as one */
    uint64_t bytes_acked;    /* our SYN and our FIN count as one each */
    uint64_t bytes_sent;     /* what was sent again taken off; 0 before Linux 4.19 */
    uint32_t segments_in;
    uint32_t segments_out;
    uint32_t rtt_usec;
    uint32_t retransmissions;
};

/** Takes a socket. An error ends the dump and is passed up. */
typedef int (*diag_function)(void *userdata, const struct diag_socket *socket);

/** A socket to ask on, or a negative errno. */
int diag_connect(void);

/** A socket that is told of TCP sockets that end, or a negative errno. */
int diag_subscribe(void);

/**
 * Asks for all open and listening sockets whose local or remote port is in @watched, and perhaps
 * for others, where there are too many ports for a filter. Returns 0 or a negative errno.
 */
int diag_dump(int fd, const uint8_t watched[static 65536], diag_function function, void *userdata);

/**
 * Takes what came since the last call. Returns 0, -ENOBUFS if the queue ran over and some were
 * lost, or another negative errno.
 */
int diag_drain(int fd, diag_function function, void *userdata);

#endif
