/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_BUS_H
#define PORTMON_BUS_H

/*
 * Publishes the monitor: on the system bus, where there is one, and to peers on the socket. Each
 * connection serves the same objects from the same tables.
 */

#include "daemon/monitor.h"
#include "shared/cleanup.h"
#include "shared/reason.h"

#include <stdint.h>
#include <systemd/sd-event.h>

struct bus;

/** What clients may ask about the service itself. The strings are the caller's. */
struct service_info {
    const char *data_directory;
    const char *socket_path;
    unsigned retention_days;
    uint64_t start_usec; /* CLOCK_REALTIME */
};

int bus_new(struct bus **ret, sd_event *event, struct monitor *monitor,
            const struct service_info *info);

/** Sends what is queued and says goodbye to all. Takes NULL; returns NULL. */
struct bus *bus_free(struct bus *bus);
DEFINE_CLEANUP(struct bus, bus_free)

/**
 * Serves on the system bus, and comes back to it when it is restarted. Returns 0, or a negative
 * errno with @reason: -ENOENT if there is no system bus, -EACCES if its policy does not let us have
 * the name, -EEXIST if somebody else has it.
 */
int bus_serve_system(struct bus *bus, struct reason *reason);

/** Serves peers that connect to the listening socket @fd, which becomes the bus's to close. */
int bus_serve_peers(struct bus *bus, int fd);

/**
 * Tell everybody what changed: a port that is watched now; one that is about to go; which ports are
 * watched, after any number of these; what a port is called; a setting of the service.
 */
void bus_announce_port(struct bus *bus, uint16_t port);
void bus_announce_removal(struct bus *bus, uint16_t port);
void bus_announce_ports(struct bus *bus);
void bus_announce_description(struct bus *bus, uint16_t port);
void bus_announce_retention(struct bus *bus);

#endif
