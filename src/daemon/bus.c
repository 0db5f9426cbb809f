/* SPDX-License-Identifier: MIT */
#include "daemon/bus.h"

#include "daemon/bus-internal.h"
#include "shared/bus-names.h"
#include "shared/log.h"

#include "shared/time-util.h"

#include <errno.h>
#include <stdio.h>

/* How soon we are back on a bus that was restarted. */
#define RECONNECT_INTERVAL_USEC USEC_PER_SEC

/* DBUS_REQUEST_NAME_REPLY_PRIMARY_OWNER of the D-Bus specification. */
#define NAME_IS_OURS 1

const char *bus_port_path(char buffer[static PORT_PATH_SIZE], uint16_t port)
{
    snprintf(buffer, PORT_PATH_SIZE, PORT_PATH_PREFIX "/%u", port);
    return buffer;
}

int bus_new(struct bus **ret, sd_event *event, struct monitor *monitor,
            const struct service_info *info)
{
    struct bus *bus = calloc(1, sizeof(*bus));

    if (!bus)
        return -ENOMEM;
    bus->event = sd_event_ref(event);
    bus->monitor = monitor;
    bus->info = info;
    *ret = bus;
    return 0;
}

struct bus *bus_free(struct bus *bus)
{
    if (!bus)
        return NULL;
    bus_forget_authorizations(bus);
    peers_free(bus->peers);
    sd_event_source_disable_unref(bus->reconnect);
    sd_bus_flush_close_unref(bus->system);
    sd_event_unref(bus->event);
    free(bus);
    return NULL;
}

int bus_publish(struct bus *bus, sd_bus *connection)
{
    int r;

    if ((r = sd_bus_add_object_manager(connection, NULL, MONITOR_PATH)) < 0 ||
        (r = bus_publish_monitor(bus, connection)) < 0 ||
        (r = bus_publish_ports(bus, connection)) < 0 ||
        (r = bus_publish_log_control(bus, connection)) < 0)
        return r;
    return 0;
}

/* ---- the system bus ---- */

static void leave(struct bus *bus)
{
    bus_forget_authorizations(bus);
    sd_bus_close_unref(bus->system);
    bus->system = NULL;
    bus->has_name = false;
}

static int on_reconnect(sd_event_source *source, uint64_t usec, void *userdata);

static int schedule_reconnect(struct bus *bus)
{
    if (bus->reconnect)
        return 0;
    return sd_event_add_time_relative(bus->event, &bus->reconnect, CLOCK_MONOTONIC,
                                      RECONNECT_INTERVAL_USEC, 0, on_reconnect, bus);
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    struct bus *bus = userdata;

    if (bus->has_name)
        log_warning("The system bus went away; serving on the socket until it is back");
    leave(bus);
    return schedule_reconnect(bus);
}

/** Goes on the system bus, but does not have our name there yet. */
static int join(struct bus *bus, struct reason *reason)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *connection = NULL;
    int r;

    r = sd_bus_open_system(&connection);
    if (r < 0)
        return fail_errno(reason, -ENOENT, "No system bus");
    if ((r = bus_publish(bus, connection)) < 0 ||
        (r = sd_bus_match_signal(connection, NULL, "org.freedesktop.DBus.Local",
                                 "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
                                 "Disconnected", on_disconnected, bus)) < 0 ||
        /* It is for bus_free() to wait until the bus took our goodbye. */
        (r = sd_bus_set_close_on_exit(connection, false)) < 0 ||
        (r = sd_bus_attach_event(connection, bus->event, SD_EVENT_PRIORITY_NORMAL)) < 0)
        return fail_errno(reason, r, "Cannot serve on the system bus");
    bus->system = TAKE_PTR(connection);
    return 0;
}

static int fail_name(struct reason *reason, int r)
{
    if (r == -EEXIST)
        return fail(reason, r,
                    "Another portmond has the name " MONITOR_BUS_NAME " on the system bus");
    return fail_errno(reason, r,
                      "The system bus does not let us have the name " MONITOR_BUS_NAME
                      " (is portmon's bus policy installed?)");
}

int bus_serve_system(struct bus *bus, struct reason *reason)
{
    int r = join(bus, reason);

    if (r < 0)
        return r;
    r = sd_bus_request_name(bus->system, MONITOR_BUS_NAME, 0);
    if (r >= 0) {
        bus->has_name = true;
        return 0;
    }
    leave(bus);
    /* When it is being installed, the bus may read the policy a moment later. */
    if (r == -EACCES)
        schedule_reconnect(bus);
    return fail_name(reason, r);
}

/** The bus answers whether we have the name. */
static int on_name(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    struct bus *bus = userdata;
    struct reason why = {};
    uint32_t answer = 0;
    int r = -sd_bus_message_get_errno(message);

    if (r == 0)
        r = sd_bus_message_read(message, "u", &answer);
    if (r >= 0 && answer != NAME_IS_OURS)
        r = -EEXIST;
    if (r >= 0) {
        bus->has_name = true;
        log_info("On the system bus again");
        return 0;
    }
    fail_name(&why, r);
    log_debug("%s", why.text);
    leave(bus);
    return schedule_reconnect(bus);
}

/* A bus that was restarted may take its time; we count and serve others meanwhile. */
static int on_reconnect(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct bus *bus = userdata;
    struct reason why = {};
    int r;

    bus->reconnect = sd_event_source_unref(bus->reconnect);
    r = join(bus, &why);
    if (r >= 0) {
        r = sd_bus_request_name_async(bus->system, NULL, MONITOR_BUS_NAME, 0, on_name, bus);
        if (r >= 0)
            return 0;
        fail_name(&why, r);
        leave(bus);
    }
    log_debug("%s", why.text);
    return schedule_reconnect(bus);
}

int bus_serve_peers(struct bus *bus, int fd)
{
    return peers_new(&bus->peers, bus, fd);
}

/* ---- signals ---- */

/** Runs @emit for every connection there is. */
static void for_each(struct bus *bus, void (*emit)(sd_bus *connection, uint16_t port),
                     uint16_t port)
{
    if (bus->system)
        emit(bus->system, port);
    if (bus->peers)
        peers_for_each(bus->peers, emit, port);
}

static void emit_port_added(sd_bus *connection, uint16_t port)
{
    char path[PORT_PATH_SIZE];

    sd_bus_emit_object_added(connection, bus_port_path(path, port));
    sd_bus_emit_signal(connection, MONITOR_PATH, MONITOR_INTERFACE, "PortAdded", "qo", port, path);
}

static void emit_port_removed(sd_bus *connection, uint16_t port)
{
    char path[PORT_PATH_SIZE];

    sd_bus_emit_object_removed(connection, bus_port_path(path, port));
    sd_bus_emit_signal(connection, MONITOR_PATH, MONITOR_INTERFACE, "PortRemoved", "qo", port,
                       path);
}

static void emit_ports_changed(sd_bus *connection, uint16_t port)
{
    sd_bus_emit_properties_changed(connection, MONITOR_PATH, MONITOR_INTERFACE, "Ports", NULL);
}

static void emit_description_changed(sd_bus *connection, uint16_t port)
{
    char path[PORT_PATH_SIZE];

    sd_bus_emit_properties_changed(connection, bus_port_path(path, port), PORT_INTERFACE,
                                   "Description", NULL);
}

static void emit_retention_changed(sd_bus *connection, uint16_t port)
{
    sd_bus_emit_properties_changed(connection, MONITOR_PATH, MONITOR_INTERFACE, "RetentionDays",
                                   NULL);
}

void bus_announce_port(struct bus *bus, uint16_t port)
{
    for_each(bus, emit_port_added, port);
}

void bus_announce_removal(struct bus *bus, uint16_t port)
{
    for_each(bus, emit_port_removed, port);
}

void bus_announce_ports(struct bus *bus)
{
    for_each(bus, emit_ports_changed, 0);
}

void bus_announce_description(struct bus *bus, uint16_t port)
{
    for_each(bus, emit_description_changed, port);
}

void bus_announce_retention(struct bus *bus)
{
    for_each(bus, emit_retention_changed, 0);
}

/* ---- figures ---- */

int bus_refresh(struct bus *bus, uint16_t port, sd_bus_error *error)
{
    int r = monitor_refresh(bus->monitor, port);

    return r < 0 ? sd_bus_error_set_errnof(error, r, "Cannot read the kernel's counters") : 0;
}

/** Samples all, unless that was done for the same message. */
static int refresh_once(struct bus *bus, sd_bus *connection, sd_bus_error *error)
{
    sd_bus_message *message = sd_bus_get_current_message(connection);
    uint64_t cookie = 0, iteration = 0;
    int r;

    /* No message: a signal with figures. Those that are sent at once get the same. */
    if (message)
        sd_bus_message_get_cookie(message, &cookie);
    sd_event_get_iteration(bus->event, &iteration);
    if (bus->fresh.connection == connection && bus->fresh.cookie == cookie &&
        bus->fresh.iteration == iteration)
        return 0;
    r = bus_refresh(bus, 0, error);
    if (r < 0)
        return r;
    bus->fresh.connection = connection;
    bus->fresh.cookie = cookie;
    bus->fresh.iteration = iteration;
    bus->fresh.port = 0;
    return 0;
}

int bus_stats(struct bus *bus, sd_bus *connection, uint16_t port, const struct role_stats **ret,
              sd_bus_error *error)
{
    int r = refresh_once(bus, connection, error);

    if (r < 0)
        return r;
    if (bus->fresh.port != port) {
        bus->fresh.port = 0;
        r = monitor_stats(bus->monitor, port, bus->fresh.stats);
        if (r < 0)
            return bus_set_error(bus, error, r, port);
        bus->fresh.port = port;
    }
    *ret = bus->fresh.stats;
    return 0;
}

int bus_set_error(struct bus *bus, sd_bus_error *error, int r, uint16_t port)
{
    switch (r) {
    case -ENOENT:
        return sd_bus_error_setf(error, ERROR_NO_SUCH_PORT, "Port %u is not watched", port);
    case -EEXIST:
        return sd_bus_error_setf(error, ERROR_PORT_EXISTS, "Port %u is watched already", port);
    case -ERANGE:
        return sd_bus_error_set(error, ERROR_INVALID_RANGE,
                                "The range ends before it begins, or is empty");
    case -ENOMEM:
        return r;
    default:
        return sd_bus_error_setf(error, ERROR_LEDGER, "The ledger failed: %s",
                                 monitor_ledger_message(bus->monitor));
    }
}
