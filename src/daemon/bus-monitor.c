/* SPDX-License-Identifier: MIT */
/* org.portmon.Monitor1. dbus/org.portmon.Monitor1.xml documents each member. */
#include "daemon/bus-internal.h"
#include "shared/bus-names.h"
#include "shared/parse.h"
#include "shared/time-util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* ---- arguments ---- */

static int read_port(sd_bus_message *message, uint16_t *ret, sd_bus_error *error)
{
    int r = sd_bus_message_read(message, "q", ret);

    if (r < 0)
        return r;
    if (*ret == 0)
        return sd_bus_error_set(error, ERROR_INVALID_PORT, "0 is not a TCP port; use 1 to 65535");
    return 0;
}

/** A description is one line of text that fits a table. (The bus takes valid UTF-8 only.) */
static int read_description(sd_bus_message *message, const char **ret, sd_bus_error *error)
{
    int r = sd_bus_message_read(message, "s", ret);

    if (r < 0)
        return r;
    if (strlen(*ret) > MAX_DESCRIPTION_BYTES)
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                 "The description is longer than %d bytes", MAX_DESCRIPTION_BYTES);
    if (!is_one_line(*ret))
        return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                                "The description has control characters");
    return 0;
}

static int read_role(sd_bus_message *message, enum role *ret, sd_bus_error *error)
{
    const char *name;
    int r = sd_bus_message_read(message, "s", &name);

    if (r < 0)
        return r;
    r = role_from_string(name);
    if (r < 0)
        return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                                "The role is neither \"server\" nor \"client\"");
    *ret = (enum role) r;
    return 0;
}

static int append_record(sd_bus_message *reply, const struct interval *interval)
{
    const struct traffic *t = &interval->traffic;

    return sd_bus_message_append(reply, "(tttttttt)", interval->start_usec, t->rx_bytes,
                                 t->tx_bytes, t->rx_packets, t->tx_packets, t->connections,
                                 t->peak_rx_rate, t->peak_tx_rate);
}

/* ---- methods: read, check, authorise, change, tell, reply ---- */

static int method_add_port(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    struct bus *bus = userdata;
    char path[PORT_PATH_SIZE];
    const char *description;
    uint16_t port;
    int r;

    if ((r = read_port(message, &port, error)) < 0 ||
        (r = read_description(message, &description, error)) < 0)
        return r;
    if (monitor_watches(bus->monitor, port))
        return bus_set_error(bus, error, -EEXIST, port);
    if ((r = bus_authorize(bus, message, ACTION_MANAGE_PORTS, error)) <= 0)
        return r < 0 ? r : 1;
    r = monitor_add(bus->monitor, port, description);
    if (r < 0)
        return bus_set_error(bus, error, r, port);
    bus_announce_port(bus, port);
    bus_announce_ports(bus);
    return sd_bus_reply_method_return(message, "o", bus_port_path(path, port));
}

static int method_remove_port(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    struct bus *bus = userdata;
    uint16_t port;
    int r;

    if ((r = read_port(message, &port, error)) < 0)
        return r;
    if (!monitor_watches(bus->monitor, port))
        return bus_set_error(bus, error, -ENOENT, port);
    if ((r = bus_authorize(bus, message, ACTION_MANAGE_PORTS, error)) <= 0)
        return r < 0 ? r : 1;
    r = monitor_prepare_removal(bus->monitor, port);
    if (r < 0)
        return bus_set_error(bus, error, r, port);
    bus_announce_removal(bus, port);
    monitor_remove(bus->monitor, port);
    bus_announce_ports(bus);
    return sd_bus_reply_method_return(message, NULL);
}

static int method_set_description(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    struct bus *bus = userdata;
    const char *description;
    uint16_t port;
    int r;

    if ((r = read_port(message, &port, error)) < 0 ||
        (r = read_description(message, &description, error)) < 0)
        return r;
    if (!monitor_watches(bus->monitor, port))
        return bus_set_error(bus, error, -ENOENT, port);
    if (strcmp(monitor_description(bus->monitor, port), description) == 0)
        return sd_bus_reply_method_return(message, NULL);
    if ((r = bus_authorize(bus, message, ACTION_MANAGE_PORTS, error)) <= 0)
        return r < 0 ? r : 1;
    r = monitor_describe(bus->monitor, port, description);
    if (r < 0)
        return bus_set_error(bus, error, r, port);
    bus_announce_description(bus, port);
    return sd_bus_reply_method_return(message, NULL);
}

static int method_list_ports(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    struct bus *bus = userdata;
    int r;

    if ((r = sd_bus_message_new_method_return(message, &reply)) < 0 ||
        (r = sd_bus_message_open_container(reply, 'a', "(qs)")) < 0)
        return r;
    for (uint16_t port = 0; r >= 0 && (port = monitor_next(bus->monitor, port));)
        r = sd_bus_message_append(reply, "(qs)", port, monitor_description(bus->monitor, port));
    if (r < 0 || (r = sd_bus_message_close_container(reply)) < 0)
        return r;
    return sd_bus_send(NULL, reply, NULL);
}

static int method_get_stats(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    struct role_stats stats[_ROLE_MAX];
    struct bus *bus = userdata;
    uint16_t port;
    int r;

    if ((r = read_port(message, &port, error)) < 0 || (r = bus_refresh(bus, port, error)) < 0)
        return r;
    r = monitor_stats(bus->monitor, port, stats);
    if (r < 0)
        return bus_set_error(bus, error, r, port);
    if ((r = sd_bus_message_new_method_return(message, &reply)) < 0 ||
        (r = bus_append_port_stats(bus, reply, port, stats)) < 0)
        return r;
    return sd_bus_send(NULL, reply, NULL);
}

static int method_get_range(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    struct interval sum = {};
    struct bus *bus = userdata;
    uint64_t from, until;
    enum role role = ROLE_SERVER;
    uint16_t port;
    int r;

    if ((r = read_port(message, &port, error)) < 0 || (r = read_role(message, &role, error)) < 0 ||
        (r = sd_bus_message_read(message, "tt", &from, &until)) < 0 ||
        (r = bus_refresh(bus, port, error)) < 0)
        return r;
    r = monitor_range(bus->monitor, port, role, from, until, &sum.traffic);
    if (r < 0)
        return bus_set_error(bus, error, r, port);
    sum.start_usec = from;
    if ((r = sd_bus_message_new_method_return(message, &reply)) < 0 ||
        (r = append_record(reply, &sum)) < 0)
        return r;
    return sd_bus_send(NULL, reply, NULL);
}

static int method_get_history(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_history_ struct history history = {};
    struct bus *bus = userdata;
    const char *resolution;
    uint64_t from, until;
    enum role role = ROLE_SERVER;
    uint16_t port;
    int r, parsed;

    if ((r = read_port(message, &port, error)) < 0 || (r = read_role(message, &role, error)) < 0 ||
        (r = sd_bus_message_read(message, "tts", &from, &until, &resolution)) < 0)
        return r;
    parsed = resolution_from_string(resolution);
    if (parsed < 0)
        return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
                                "The resolution is none of \"5min\", \"hour\", \"day\", \"month\"");
    if ((r = bus_refresh(bus, port, error)) < 0)
        return r;
    r = monitor_history(bus->monitor, port, role, from, until, (enum resolution) parsed, &history);
    if (r < 0)
        return bus_set_error(bus, error, r, port);
    if ((r = sd_bus_message_new_method_return(message, &reply)) < 0 ||
        (r = sd_bus_message_open_container(reply, 'a', "(tttttttt)")) < 0)
        return r;
    for (size_t i = 0; r >= 0 && i < history.n; i++)
        r = append_record(reply, &history.rows[i]);
    if (r < 0 || (r = sd_bus_message_close_container(reply)) < 0)
        return r;
    return sd_bus_send(NULL, reply, NULL);
}

static int method_list_gaps(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_gap_list_ struct gap_list gaps = {};
    struct bus *bus = userdata;
    uint64_t from, until;
    int r;

    r = sd_bus_message_read(message, "tt", &from, &until);
    if (r < 0)
        return r;
    if (from >= until)
        return bus_set_error(bus, error, -ERANGE, 0);
    r = monitor_gaps(bus->monitor, from, until > INT64_MAX ? INT64_MAX : until, &gaps);
    if (r < 0)
        return bus_set_error(bus, error, r, 0);
    if ((r = sd_bus_message_new_method_return(message, &reply)) < 0 ||
        (r = sd_bus_message_open_container(reply, 'a', "(tts)")) < 0)
        return r;
    for (size_t i = 0; r >= 0 && i < gaps.n; i++)
        r = sd_bus_message_append(reply, "(tts)", gaps.gaps[i].from_usec, gaps.gaps[i].until_usec,
                                  gap_reason_to_string(gaps.gaps[i].reason));
    if (r < 0 || (r = sd_bus_message_close_container(reply)) < 0)
        return r;
    return sd_bus_send(NULL, reply, NULL);
}

/** IPv4 addresses in their own form, however the socket was made. */
static const char *address_to_string(const struct in6_addr *address,
                                     char buffer[static INET6_ADDRSTRLEN])
{
    if (IN6_IS_ADDR_V4MAPPED(address))
        inet_ntop(AF_INET, &address->s6_addr[12], buffer, INET6_ADDRSTRLEN);
    else
        inet_ntop(AF_INET6, address, buffer, INET6_ADDRSTRLEN);
    return buffer;
}

/* clang-format off: one entry a line */
static int append_connection(sd_bus_message *reply, const struct connection *c, uint64_t now)
{
    char local[INET6_ADDRSTRLEN], remote[INET6_ADDRSTRLEN];

    return sd_bus_message_append(
        reply, "a{sv}", 19, "Port", "q", c->port, "LocalAddr", "s",
        address_to_string(&c->local_address, local), "LocalPort", "q", c->local_port, "RemoteAddr",
        "s", address_to_string(&c->remote_address, remote), "RemotePort", "q", c->remote_port,
        "Role", "s", role_to_string(c->role), "State", "s", c->state, "RxBytes", "t", c->rx_bytes,
        "TxBytes", "t", c->tx_bytes, "RxRate", "t", c->rx_rate, "TxRate", "t", c->tx_rate,
        "StartedAt", "t", now - c->age_usec, "Duration", "t", c->age_usec, "Adopted", "b",
        (int) c->adopted, "RttUsec", "t", (uint64_t) c->rtt_usec, "Retransmissions", "t",
        (uint64_t) c->retransmissions, "NetworkNamespace", "t", (uint64_t) c->network_namespace,
        "Pid", "u", c->pid, "Process", "s", c->comm);
}
/* clang-format on */

static int method_list_connections(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_free_ struct connection *connections = NULL;
    uint64_t now = now_usec(CLOCK_REALTIME);
    struct bus *bus = userdata;
    uint16_t port;
    int r, n;

    if ((r = read_port(message, &port, error)) < 0)
        return r;
    if (!monitor_watches(bus->monitor, port))
        return bus_set_error(bus, error, -ENOENT, port);
    if ((r = bus_authorize(bus, message, ACTION_INSPECT_CONNECTIONS, error)) <= 0)
        return r < 0 ? r : 1;
    n = monitor_connections(bus->monitor, port, &connections);
    if (n < 0)
        return sd_bus_error_set_errnof(error, n, "Cannot list the connections");
    if ((r = sd_bus_message_new_method_return(message, &reply)) < 0 ||
        (r = sd_bus_message_open_container(reply, 'a', "a{sv}")) < 0)
        return r;
    for (int i = 0; r >= 0 && i < n; i++)
        r = append_connection(reply, &connections[i], now);
    if (r < 0 || (r = sd_bus_message_close_container(reply)) < 0)
        return r;
    return sd_bus_send(NULL, reply, NULL);
}

static int method_flush(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
    struct bus *bus = userdata;
    int r;

    if ((r = bus_authorize(bus, message, ACTION_FLUSH, error)) <= 0)
        return r < 0 ? r : 1;
    r = monitor_flush(bus->monitor);
    if (r < 0)
        return bus_set_error(bus, error, r, 0);
    return sd_bus_reply_method_return(message, NULL);
}

/* ---- properties ---- */

static int get_version(sd_bus *connection, const char *path, const char *interface,
                       const char *property, sd_bus_message *reply, void *userdata,
                       sd_bus_error *error)
{
    return sd_bus_message_append(reply, "s", PORTMON_VERSION);
}

static int get_collector(sd_bus *connection, const char *path, const char *interface,
                         const char *property, sd_bus_message *reply, void *userdata,
                         sd_bus_error *error)
{
    struct bus *bus = userdata;

    return sd_bus_message_append(reply, "s", monitor_collector(bus->monitor));
}

static int get_exact(sd_bus *connection, const char *path, const char *interface,
                     const char *property, sd_bus_message *reply, void *userdata,
                     sd_bus_error *error)
{
    struct bus *bus = userdata;

    return sd_bus_message_append(reply, "b", monitor_is_exact(bus->monitor));
}

static int get_ports(sd_bus *connection, const char *path, const char *interface,
                     const char *property, sd_bus_message *reply, void *userdata,
                     sd_bus_error *error)
{
    struct bus *bus = userdata;
    int r;

    r = sd_bus_message_open_container(reply, 'a', "q");
    for (uint16_t port = 0; r >= 0 && (port = monitor_next(bus->monitor, port));)
        r = sd_bus_message_append(reply, "q", port);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int get_info(sd_bus *connection, const char *path, const char *interface,
                    const char *property, sd_bus_message *reply, void *userdata,
                    sd_bus_error *error)
{
    const struct service_info *info = ((struct bus *) userdata)->info;
    char zone[128];

    if (strcmp(property, "StartTimestamp") == 0)
        return sd_bus_message_append(reply, "t", info->start_usec);
    if (strcmp(property, "RetentionDays") == 0)
        return sd_bus_message_append(reply, "u", info->retention_days);
    if (strcmp(property, "DataDirectory") == 0)
        return sd_bus_message_append(reply, "s", info->data_directory);
    if (strcmp(property, "SocketPath") == 0)
        return sd_bus_message_append(reply, "s", info->socket_path);
    calendar_zone_name(zone, sizeof(zone));
    return sd_bus_message_append(reply, "s", zone);
}

static int get_ledger_failure(sd_bus *connection, const char *path, const char *interface,
                              const char *property, sd_bus_message *reply, void *userdata,
                              sd_bus_error *error)
{
    struct monitor *monitor = ((struct bus *) userdata)->monitor;

    return sd_bus_message_append(
        reply, "s", monitor_ledger_fails(monitor) ? monitor_ledger_message(monitor) : "");
}

static int get_health(sd_bus *connection, const char *path, const char *interface,
                      const char *property, sd_bus_message *reply, void *userdata,
                      sd_bus_error *error)
{
    struct bus *bus = userdata;
    struct probe_health health;
    uint64_t lost_closes;
    int r;

    r = monitor_health(bus->monitor, &health, &lost_closes);
    if (r < 0)
        return r;
    /* clang-format off: one entry a line */
    return sd_bus_message_append(reply, "a{st}", 5, "StorageFailures", health.storage_failures,
                                 "LostCloses", lost_closes, "Unsettled", health.unsettled,
                                 "SkippedEvents", health.skipped_events, "Contended",
                                 health.contended);
    /* clang-format on */
}

static const sd_bus_vtable monitor_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD_WITH_ARGS("AddPort", SD_BUS_ARGS("q", port, "s", description),
                            SD_BUS_RESULT("o", path), method_add_port, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("RemovePort", SD_BUS_ARGS("q", port), SD_BUS_NO_RESULT,
                            method_remove_port, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("SetDescription", SD_BUS_ARGS("q", port, "s", description),
                            SD_BUS_NO_RESULT, method_set_description, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ListPorts", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(qs)", ports),
                            method_list_ports, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("GetStats", SD_BUS_ARGS("q", port), SD_BUS_RESULT("a{sv}", stats),
                            method_get_stats, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS(
        "GetRange", SD_BUS_ARGS("q", port, "s", role, "t", from_usec, "t", until_usec),
        SD_BUS_RESULT("(tttttttt)", record), method_get_range, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS(
        "GetHistory",
        SD_BUS_ARGS("q", port, "s", role, "t", from_usec, "t", until_usec, "s", resolution),
        SD_BUS_RESULT("a(tttttttt)", records), method_get_history, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ListGaps", SD_BUS_ARGS("t", from_usec, "t", until_usec),
                            SD_BUS_RESULT("a(tts)", gaps), method_list_gaps,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("ListConnections", SD_BUS_ARGS("q", port),
                            SD_BUS_RESULT("aa{sv}", connections), method_list_connections,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD_WITH_ARGS("Flush", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_flush,
                            SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("StartTimestamp", "t", get_info, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("RetentionDays", "u", get_info, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("DataDirectory", "s", get_info, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("SocketPath", "s", get_info, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("TimeZone", "s", get_info, 0, 0),
    SD_BUS_PROPERTY("Collector", "s", get_collector, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("LedgerFailure", "s", get_ledger_failure, 0, 0),
    SD_BUS_PROPERTY("Exact", "b", get_exact, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Health", "a{st}", get_health, 0, 0),
    SD_BUS_PROPERTY("Ports", "aq", get_ports, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_SIGNAL_WITH_ARGS("PortAdded", SD_BUS_ARGS("q", port, "o", path), 0),
    SD_BUS_SIGNAL_WITH_ARGS("PortRemoved", SD_BUS_ARGS("q", port, "o", path), 0),
    SD_BUS_VTABLE_END,
};

int bus_publish_monitor(struct bus *bus, sd_bus *connection)
{
    return sd_bus_add_object_vtable(connection, NULL, MONITOR_PATH, MONITOR_INTERFACE,
                                    monitor_vtable, bus);
}
