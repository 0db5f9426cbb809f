/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_BUS_INTERNAL_H
#define PORTMON_BUS_INTERNAL_H

/* What the parts of the bus share. */

#include "daemon/bus.h"

#include <systemd/sd-bus.h>

struct authorization;
struct peers;

struct bus {
    sd_event *event;
    struct monitor *monitor;
    const struct service_info *info;
    sd_bus *system; /* NULL if there is none */
    bool has_name;  /* on it */
    sd_event_source *reconnect;
    struct peers *peers;
    struct authorization *authorizations; /* questions to polkit that wait */

    /* The message for which all were last sampled, and the figures of one: see bus_stats(). */
    struct {
        sd_bus *connection;
        uint64_t cookie;
        uint64_t iteration;
        uint16_t port;
        struct role_stats stats[_ROLE_MAX];
    } fresh;
};

/** Enough for the object path of any port. */
#define PORT_PATH_SIZE 48

const char *bus_port_path(char buffer[static PORT_PATH_SIZE], uint16_t port);

/** Makes the objects available on a connection. */
int bus_publish(struct bus *bus, sd_bus *connection);

/** The interfaces, each in its own file. */
int bus_publish_monitor(struct bus *bus, sd_bus *connection);
int bus_publish_ports(struct bus *bus, sd_bus *connection);
int bus_publish_log_control(struct bus *bus, sd_bus *connection);

/** Samples the counters of @port, or of all if that is 0. Returns 0 or a negative errno with
 * @error. */
int bus_refresh(struct bus *bus, uint16_t port, sd_bus_error *error);

/**
 * Fresh figures of a port. *@ret points to an array of _ROLE_MAX, valid until the next call. All
 * are sampled once for the message that @connection handles now: one that asks for many figures
 * gets those of one moment.
 */
int bus_stats(struct bus *bus, sd_bus *connection, uint16_t port, const struct role_stats **ret,
              sd_bus_error *error);

/** Appends a whole `a{sv}`: figures by name, and others as the functions say. */
int bus_append_port_stats(struct bus *bus, sd_bus_message *reply, uint16_t port,
                          const struct role_stats *stats);

/** Turns what a function of the monitor returned about @port into the error that callers get. */
int bus_set_error(struct bus *bus, sd_bus_error *error, int r, uint16_t port);

/**
 * Whether the sender of @message may do @action, a constant. Returns 1 if so, a negative errno with
 * @error if not, and 0 if polkit has to be asked: the handler returns 1 then, and @message comes to
 * it again with the answer. Until then anything may have changed, so it begins anew.
 */
int bus_authorize(struct bus *bus, sd_bus_message *message, const char *action,
                  sd_bus_error *error);

/** Gives up all questions. Their senders get no answer. */
void bus_forget_authorizations(struct bus *bus);

/* ---- peers ---- */

struct peers *peers_free(struct peers *peers);

/** Takes @fd, a listening socket. */
int peers_new(struct peers **ret, struct bus *bus, int fd);

/** Runs @emit for every peer. */
void peers_for_each(struct peers *peers, void (*emit)(sd_bus *connection, uint16_t port),
                    uint16_t port);

#endif
