/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_MONITOR_CLIENT_H
#define PORTMON_MONITOR_CLIENT_H

/*
 * portmond as the client sees it: calls go in, plain structs come out. This is the only part of the
 * client that knows sd-bus. Functions return 0 or a negative errno with a sentence in @reason:
 * -ENOENT no such port, -EACCES not authorised, -ENOTCONN portmond is not there, and others.
 */

#include "shared/cleanup.h"
#include "shared/gap.h"
#include "shared/history.h"
#include "shared/reason.h"
#include "shared/traffic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct monitor_client;

/** A watched port. */
struct port_name {
    uint16_t port;
    char *description;
};

/** Watched ports by number. Empty when zeroed. */
struct port_list {
    struct port_name *ports;
    size_t n;
};

void port_list_clear(struct port_list *list);
#define _cleanup_port_list_ _cleanup_(port_list_clear)

/** The live figures of a port in one role. */
struct role_figures {
    uint64_t rx_bytes; /* since the port was first watched */
    uint64_t tx_bytes;
    uint64_t rx_packets;
    uint64_t tx_packets;
    uint64_t connections; /* open now */
    uint64_t connections_total;
    uint64_t rx_rate; /* bytes per second */
    uint64_t tx_rate;
    uint64_t today_rx_bytes;
    uint64_t today_tx_bytes;
};

struct port_stats {
    uint16_t port;
    char *description;
    bool exact;         /* whether it is counted exactly now */
    uint32_t cycle_day; /* on which its billing cycle begins; 0 if none */
    struct role_figures role[_ROLE_MAX];
};

void port_stats_clear(struct port_stats *stats);
#define _cleanup_port_stats_ _cleanup_(port_stats_clear)

/** The figures of all ports, by number. Empty when zeroed. */
struct port_stats_list {
    struct port_stats *ports;
    size_t n;
};

void port_stats_list_clear(struct port_stats_list *list);
#define _cleanup_port_stats_list_ _cleanup_(port_stats_list_clear)

/** An open connection. */
struct connection {
    char *local_address;
    char *remote_address;
    char *state;
    char *process; /* "" if none holds it */
    enum role role;
    uint16_t local_port;
    uint16_t remote_port;
    uint32_t pid;
    uint64_t rx_bytes;
    uint64_t tx_bytes;
    uint64_t rx_rate;
    uint64_t tx_rate;
    uint64_t started_usec;
    uint64_t duration_usec;
    uint64_t rtt_usec;
    uint64_t retransmissions;
    bool adopted; /* open before its port was added: counted and timed from then on */
};

/** The busiest first. Empty when zeroed. */
struct connection_list {
    struct connection *connections;
    size_t n;
};

void connection_list_clear(struct connection_list *list);
#define _cleanup_connection_list_ _cleanup_(connection_list_clear)

/** Drops those of the other role. */
void connection_list_keep(struct connection_list *list, enum role role);

/** A thing that was lost, and how often. */
struct loss {
    const char *name; /* as in JSON: "storage_failures" */
    uint64_t count;
};

#define N_LOSSES 4

struct service_status {
    char *version;
    char *collector;
    bool exact; /* whether it counts exactly */
    char *data_directory;
    char *socket_path;
    char *time_zone;      /* as TZ takes it; "" if it can't be told */
    char *ledger_failure; /* why nothing can be written at present; "" if it can */
    uint64_t start_usec;
    uint32_t retention_days;
    struct loss losses[N_LOSSES];
};

void service_status_clear(struct service_status *status);
#define _cleanup_service_status_ _cleanup_(service_status_clear)

/**
 * Whether the bus may start portmond because it is called. Who only looks on for long must not: it
 * would undo each `systemctl stop portmond`.
 */
enum monitor_start {
    MONITOR_START,      /* whenever it is called */
    MONITOR_START_ONCE, /* when the connection is opened, but not later */
    MONITOR_START_NEVER,
};

/** Where portmond is. */
struct monitor_target {
    const char *socket_path; /* NULL: the system bus, and the default socket if it isn't there */
    const char *host;        /* [USER@]HOST, by ssh; or NULL */
    enum monitor_start start;
};

int monitor_client_open(struct monitor_client **ret, const struct monitor_target *target,
                        struct reason *reason);
struct monitor_client *monitor_client_free(struct monitor_client *client);
DEFINE_CLEANUP(struct monitor_client, monitor_client_free)

/** How portmond is reached: "bus", "socket" or "ssh". */
const char *monitor_client_way(const struct monitor_client *client);

int monitor_client_status(struct monitor_client *client, struct service_status *ret,
                          struct reason *reason);
int monitor_client_list_ports(struct monitor_client *client, struct port_list *ret,
                              struct reason *reason);
int monitor_client_stats(struct monitor_client *client, uint16_t port, struct port_stats *ret,
                         struct reason *reason);

/** The figures of all ports, of one moment unless they are very many. */
int monitor_client_all_stats(struct monitor_client *client, struct port_stats_list *ret,
                             struct reason *reason);

int monitor_client_range(struct monitor_client *client, uint16_t port, enum role role,
                         uint64_t from_usec, uint64_t until_usec, struct traffic *ret,
                         struct reason *reason);
int monitor_client_history(struct monitor_client *client, uint16_t port, enum role role,
                           uint64_t from_usec, uint64_t until_usec, const char *resolution,
                           struct history *ret, struct reason *reason);

int monitor_client_gaps(struct monitor_client *client, uint64_t from_usec, uint64_t until_usec,
                        struct gap_list *ret, struct reason *reason);
int monitor_client_connections(struct monitor_client *client, uint16_t port,
                               struct connection_list *ret, struct reason *reason);

int monitor_client_add_port(struct monitor_client *client, uint16_t port, const char *description,
                            struct reason *reason);
int monitor_client_remove_port(struct monitor_client *client, uint16_t port, struct reason *reason);
int monitor_client_describe_port(struct monitor_client *client, uint16_t port,
                                 const char *description, struct reason *reason);
int monitor_client_flush(struct monitor_client *client, struct reason *reason);

#endif
