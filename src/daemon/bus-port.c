/* SPDX-License-Identifier: MIT */
/* org.portmon.Port1: one object for each watched port. */
#include "daemon/bus-internal.h"
#include "shared/bus-names.h"
#include "shared/parse.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* The figures of a role by their names on the bus. */
static const struct figure {
    const char *name;
    size_t offset;
} figures[] = {
    {"RxBytes", offsetof(struct role_stats, total.rx_bytes)},
    {"TxBytes", offsetof(struct role_stats, total.tx_bytes)},
    {"RxPackets", offsetof(struct role_stats, total.rx_packets)},
    {"TxPackets", offsetof(struct role_stats, total.tx_packets)},
    {"Connections", offsetof(struct role_stats, live.connections)},
    {"ConnectionsTotal", offsetof(struct role_stats, total.connections)},
    {"RxRate", offsetof(struct role_stats, live.rx_rate)},
    {"TxRate", offsetof(struct role_stats, live.tx_rate)},
    {"TodayRxBytes", offsetof(struct role_stats, today.rx_bytes)},
    {"TodayTxBytes", offsetof(struct role_stats, today.tx_bytes)},
};

static uint64_t figure_value(const struct figure *figure, const struct role_stats *stats)
{
    uint64_t value;

    memcpy(&value, (const char *) stats + figure->offset, sizeof(value));
    return value;
}

static int append_figures(sd_bus_message *reply, const struct role_stats *stats)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < ELEMENTSOF(figures); i++)
        r = sd_bus_message_append(reply, "{sv}", figures[i].name, "t",
                                  figure_value(&figures[i], stats));
    return r;
}

static int append_client(sd_bus_message *reply, const struct role_stats *stats)
{
    int r;

    if ((r = sd_bus_message_open_container(reply, 'a', "{sv}")) < 0 ||
        (r = append_figures(reply, &stats[ROLE_CLIENT])) < 0)
        return r;
    return sd_bus_message_close_container(reply);
}

int bus_append_port_stats(struct bus *bus, sd_bus_message *reply, uint16_t port,
                          const struct role_stats *stats)
{
    int r;

    if ((r = sd_bus_message_open_container(reply, 'a', "{sv}")) < 0 ||
        (r = sd_bus_message_append(reply, "{sv}", "Port", "q", port)) < 0 ||
        (r = sd_bus_message_append(reply, "{sv}", "Description", "s",
                                   monitor_description(bus->monitor, port))) < 0 ||
        (r = sd_bus_message_append(reply, "{sv}", "CycleDay", "u",
                                   (uint32_t) monitor_cycle_day(bus->monitor, port))) < 0 ||
        (r = sd_bus_message_append(reply, "{sv}", "Exact", "b", monitor_is_exact(bus->monitor))) <
            0 ||
        (r = append_figures(reply, &stats[ROLE_SERVER])) < 0 ||
        (r = sd_bus_message_open_container(reply, 'e', "sv")) < 0 ||
        (r = sd_bus_message_append(reply, "s", "Client")) < 0 ||
        (r = sd_bus_message_open_container(reply, 'v', "a{sv}")) < 0 ||
        (r = append_client(reply, stats)) < 0 || (r = sd_bus_message_close_container(reply)) < 0 ||
        (r = sd_bus_message_close_container(reply)) < 0)
        return r;
    return sd_bus_message_close_container(reply);
}

/* ---- properties; the userdata of each is found by find_port(): the bus ---- */

/** The port that an object path names: 0 if it is not the path of a watched port. */
static uint16_t port_of_path(struct bus *bus, const char *path)
{
    char canonical[PORT_PATH_SIZE];
    const char *number = strrchr(path, '/') + 1;
    uint16_t port;

    if (parse_port(number, &port) < 0 || !monitor_watches(bus->monitor, port))
        return 0;
    return strcmp(bus_port_path(canonical, port), path) == 0 ? port : 0;
}

static int get_port(sd_bus *connection, const char *path, const char *interface,
                    const char *property, sd_bus_message *reply, void *userdata,
                    sd_bus_error *error)
{
    return sd_bus_message_append(reply, "q", port_of_path(userdata, path));
}

static int get_description(sd_bus *connection, const char *path, const char *interface,
                           const char *property, sd_bus_message *reply, void *userdata,
                           sd_bus_error *error)
{
    struct bus *bus = userdata;

    return sd_bus_message_append(reply, "s",
                                 monitor_description(bus->monitor, port_of_path(bus, path)));
}

static int get_cycle_day(sd_bus *connection, const char *path, const char *interface,
                         const char *property, sd_bus_message *reply, void *userdata,
                         sd_bus_error *error)
{
    struct bus *bus = userdata;
    uint32_t day = (uint32_t) monitor_cycle_day(bus->monitor, port_of_path(bus, path));

    return sd_bus_message_append(reply, "u", day);
}

static int get_exact(sd_bus *connection, const char *path, const char *interface,
                     const char *property, sd_bus_message *reply, void *userdata,
                     sd_bus_error *error)
{
    struct bus *bus = userdata;

    return sd_bus_message_append(reply, "b", monitor_is_exact(bus->monitor));
}

static int get_figure(sd_bus *connection, const char *path, const char *interface,
                      const char *property, sd_bus_message *reply, void *userdata,
                      sd_bus_error *error)
{
    struct bus *bus = userdata;
    const struct role_stats *stats;
    int r = bus_stats(bus, connection, port_of_path(bus, path), &stats, error);

    if (r < 0)
        return r;
    for (size_t i = 0; i < ELEMENTSOF(figures); i++)
        if (strcmp(figures[i].name, property) == 0)
            return sd_bus_message_append(reply, "t",
                                         figure_value(&figures[i], &stats[ROLE_SERVER]));
    return -EINVAL;
}

static int get_client(sd_bus *connection, const char *path, const char *interface,
                      const char *property, sd_bus_message *reply, void *userdata,
                      sd_bus_error *error)
{
    struct bus *bus = userdata;
    const struct role_stats *stats;
    int r = bus_stats(bus, connection, port_of_path(bus, path), &stats, error);

    return r < 0 ? r : append_client(reply, stats);
}

#define FIGURE(name) SD_BUS_PROPERTY(name, "t", get_figure, 0, 0)

static const sd_bus_vtable port_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Port", "q", get_port, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Description", "s", get_description, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("CycleDay", "u", get_cycle_day, 0, 0),
    SD_BUS_PROPERTY("Exact", "b", get_exact, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    FIGURE("RxBytes"),
    FIGURE("TxBytes"),
    FIGURE("RxPackets"),
    FIGURE("TxPackets"),
    FIGURE("Connections"),
    FIGURE("ConnectionsTotal"),
    FIGURE("RxRate"),
    FIGURE("TxRate"),
    FIGURE("TodayRxBytes"),
    FIGURE("TodayTxBytes"),
    SD_BUS_PROPERTY("Client", "a{sv}", get_client, 0, 0),
    SD_BUS_VTABLE_END,
};

static int find_port(sd_bus *connection, const char *path, const char *interface, void *userdata,
                     void **ret_found, sd_bus_error *error)
{
    if (!port_of_path(userdata, path))
        return 0;
    *ret_found = userdata;
    return 1;
}

static int list_ports(sd_bus *connection, const char *prefix, void *userdata, char ***ret_nodes,
                      sd_bus_error *error)
{
    struct bus *bus = userdata;
    char path[PORT_PATH_SIZE];
    size_t n = 0;
    char **nodes;

    for (uint16_t port = 0; (port = monitor_next(bus->monitor, port));)
        n++;
    nodes = calloc(n + 1, sizeof(*nodes)); /* sd-bus frees it, and its strings */
    if (!nodes)
        return -ENOMEM;
    n = 0;
    for (uint16_t port = 0; (port = monitor_next(bus->monitor, port));) {
        nodes[n] = strdup(bus_port_path(path, port));
        if (!nodes[n++]) {
            while (n-- > 0)
                free(nodes[n]);
            free(nodes);
            return -ENOMEM;
        }
    }
    *ret_nodes = nodes;
    return 1;
}

int bus_publish_ports(struct bus *bus, sd_bus *connection)
{
    int r;

    r = sd_bus_add_fallback_vtable(connection, NULL, PORT_PATH_PREFIX, PORT_INTERFACE, port_vtable,
                                   find_port, bus);
    if (r < 0)
        return r;
    return sd_bus_add_node_enumerator(connection, NULL, PORT_PATH_PREFIX, list_ports, bus);
}
