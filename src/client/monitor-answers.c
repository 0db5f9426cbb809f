/* SPDX-License-Identifier: MIT */
#include "client/monitor-answers.h"

#include "shared/bus-names.h"

#include <errno.h>
#include <string.h>

/* ---- results ---- */

void port_list_clear(struct port_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->ports[i].description);
    free(list->ports);
    *list = (struct port_list){};
}

void port_stats_clear(struct port_stats *stats)
{
    free(stats->description);
    *stats = (struct port_stats){};
}

void port_stats_list_clear(struct port_stats_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        port_stats_clear(&list->ports[i]);
    free(list->ports);
    *list = (struct port_stats_list){};
}

void service_status_clear(struct service_status *status)
{
    free(status->version);
    free(status->collector);
    free(status->data_directory);
    free(status->socket_path);
    free(status->time_zone);
    free(status->ledger_failure);
    *status = (struct service_status){};
}

static void connection_clear(struct connection *connection)
{
    free(connection->local_address);
    free(connection->remote_address);
    free(connection->state);
    free(connection->process);
}

void connection_list_clear(struct connection_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        connection_clear(&list->connections[i]);
    free(list->connections);
    *list = (struct connection_list){};
}

void connection_list_keep(struct connection_list *list, enum role role)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++)
        if (list->connections[i].role == role)
            list->connections[n++] = list->connections[i];
        else
            connection_clear(&list->connections[i]);
    list->n = n;
}

/* ---- dictionaries ---- */

/** An entry of an `a{sv}` and where its value goes. */
struct field {
    const char *name;
    char type;    /* 's', 't', 'u', 'q' or 'b' as D-Bus has them; FIGURES for a nested dictionary */
    void *target; /* char **, uint64_t *, uint32_t *, uint16_t *, bool *; struct role_figures * */
};

#define FIGURES 'a'

static int read_figures(sd_bus_message *reply, struct role_figures *figures);

static int read_value(sd_bus_message *reply, const struct field *field)
{
    const char type[] = {field->type, '\0'}, *text;
    int r, truth;

    switch (field->type) {
    case 's':
        r = sd_bus_message_read(reply, "v", type, &text);
        if (r < 0)
            return r;
        free(*(char **) field->target);
        *(char **) field->target = strdup(text);
        return *(char **) field->target ? 0 : -ENOMEM;
    case 'b':
        r = sd_bus_message_read(reply, "v", type, &truth);
        *(bool *) field->target = r >= 0 && truth;
        return r;
    case FIGURES:
        if ((r = sd_bus_message_enter_container(reply, 'v', "a{sv}")) < 0 ||
            (r = read_figures(reply, field->target)) < 0)
            return r;
        return sd_bus_message_exit_container(reply);
    default:
        return sd_bus_message_read(reply, "v", type, field->target);
    }
}

/** Reads an `a{sv}`. Entries that are not in @fields are passed over. */
static int read_fields(sd_bus_message *reply, const struct field *fields, size_t n_fields)
{
    const struct field *field;
    const char *name;
    int r;

    r = sd_bus_message_enter_container(reply, 'a', "{sv}");
    if (r < 0)
        return r;
    while ((r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
        r = sd_bus_message_read(reply, "s", &name);
        if (r < 0)
            return r;
        field = NULL;
        for (size_t i = 0; i < n_fields && !field; i++)
            if (strcmp(fields[i].name, name) == 0)
                field = &fields[i];
        r = field ? read_value(reply, field) : sd_bus_message_skip(reply, "v");
        if (r < 0 || (r = sd_bus_message_exit_container(reply)) < 0)
            return r;
    }
    return r < 0 ? r : sd_bus_message_exit_container(reply);
}

/** Makes strings that an older portmond did not send empty. */
static int fill_strings(const struct field *fields, size_t n_fields)
{
    for (size_t i = 0; i < n_fields; i++)
        if (fields[i].type == 's' && !*(char **) fields[i].target &&
            !(*(char **) fields[i].target = strdup("")))
            return -ENOMEM;
    return 0;
}

static int read_record_fields(sd_bus_message *reply, const struct field *fields, size_t n_fields)
{
    int r = read_fields(reply, fields, n_fields);

    return r < 0 ? r : fill_strings(fields, n_fields);
}

/* ---- answers ---- */

#define FIGURE_FIELDS(figures)                                                                  \
    {"RxBytes", 't', &(figures)->rx_bytes}, {"TxBytes", 't', &(figures)->tx_bytes},             \
        {"RxPackets", 't', &(figures)->rx_packets}, {"TxPackets", 't', &(figures)->tx_packets}, \
        {"Connections", 't', &(figures)->connections},                                          \
        {"ConnectionsTotal", 't', &(figures)->connections_total},                               \
        {"RxRate", 't', &(figures)->rx_rate}, {"TxRate", 't', &(figures)->tx_rate},             \
        {"TodayRxBytes", 't', &(figures)->today_rx_bytes},                                      \
    {                                                                                           \
        "TodayTxBytes", 't', &(figures)->today_tx_bytes                                         \
    }

static int read_figures(sd_bus_message *reply, struct role_figures *figures)
{
    const struct field fields[] = {FIGURE_FIELDS(figures)};

    return read_fields(reply, fields, ELEMENTSOF(fields));
}

int answer_stats(sd_bus_message *reply, struct port_stats *ret)
{
    const struct field fields[] = {
        {"Port", 'q', &ret->port},
        {"Description", 's', &ret->description},
        {"CycleDay", 'u', &ret->cycle_day},
        {"Exact", 'b', &ret->exact},
        {"Client", FIGURES, &ret->role[ROLE_CLIENT]},
        FIGURE_FIELDS(&ret->role[ROLE_SERVER]),
    };

    ret->exact = true; /* one that does not say so is older than those that are not */
    return read_record_fields(reply, fields, ELEMENTSOF(fields));
}

/** Reads the interfaces of an object, and adds a port if it is one. */
static int read_object(sd_bus_message *reply, struct port_stats_list *list, size_t *size)
{
    struct port_stats *ports;
    const char *interface;
    int r = sd_bus_message_enter_container(reply, 'a', "{sa{sv}}");

    while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sa{sv}")) > 0) {
        r = sd_bus_message_read(reply, "s", &interface);
        if (r < 0)
            return r;
        if (strcmp(interface, PORT_INTERFACE) != 0)
            r = sd_bus_message_skip(reply, "a{sv}");
        else {
            if (list->n == *size) {
                *size = *size * 2 ?: 16;
                ports = reallocarray(list->ports, *size, sizeof(*ports));
                if (!ports)
                    return -ENOMEM;
                list->ports = ports;
            }
            list->ports[list->n] = (struct port_stats){};
            r = answer_stats(reply, &list->ports[list->n++]);
        }
        if (r >= 0)
            r = sd_bus_message_exit_container(reply);
    }
    return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static int compare_port_numbers(const void *a, const void *b)
{
    return ((const struct port_stats *) a)->port - ((const struct port_stats *) b)->port;
}

int answer_all_stats(sd_bus_message *reply, struct port_stats_list *ret)
{
    const char *path;
    size_t size = 0;
    int r = sd_bus_message_enter_container(reply, 'a', "{oa{sa{sv}}}");

    while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "oa{sa{sv}}")) > 0)
        if ((r = sd_bus_message_read(reply, "o", &path)) >= 0 &&
            (r = read_object(reply, ret, &size)) >= 0)
            r = sd_bus_message_exit_container(reply);
    if (r < 0)
        return r;
    if (ret->n)
        qsort(ret->ports, ret->n, sizeof(*ret->ports), compare_port_numbers);
    return 0;
}

static const struct {
    const char *name; /* on the bus */
    const char *json;
} loss_names[N_LOSSES] = {
    {"StorageFailures", "storage_failures"},
    {"LostCloses", "lost_closes"},
    {"Unsettled", "unsettled"},
    {"SkippedEvents", "skipped_events"},
};

static int read_losses(sd_bus_message *reply, struct loss losses[N_LOSSES])
{
    const char *name;
    uint64_t count;
    int r;

    r = sd_bus_message_enter_container(reply, 'a', "{st}");
    while (r >= 0 && (r = sd_bus_message_read(reply, "{st}", &name, &count)) > 0)
        for (size_t i = 0; i < N_LOSSES; i++)
            if (strcmp(loss_names[i].name, name) == 0)
                losses[i].count = count;
    return r < 0 ? r : sd_bus_message_exit_container(reply);
}

int answer_status(sd_bus_message *reply, struct service_status *ret)
{
    const struct field fields[] = {
        {"Version", 's', &ret->version},
        {"Collector", 's', &ret->collector},
        {"Exact", 'b', &ret->exact},
        {"DataDirectory", 's', &ret->data_directory},
        {"SocketPath", 's', &ret->socket_path},
        {"TimeZone", 's', &ret->time_zone},
        {"LedgerFailure", 's', &ret->ledger_failure},
        {"StartTimestamp", 't', &ret->start_usec},
        {"RetentionDays", 'u', &ret->retention_days},
    };
    const char *name;
    int r;

    ret->exact = true; /* as above */
    r = read_record_fields(reply, fields, ELEMENTSOF(fields));
    for (size_t i = 0; i < N_LOSSES; i++)
        ret->losses[i].name = loss_names[i].json;
    if (r < 0 || (r = sd_bus_message_rewind(reply, true)) < 0 ||
        (r = sd_bus_message_enter_container(reply, 'a', "{sv}")) < 0)
        return r;
    while ((r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
        r = sd_bus_message_read(reply, "s", &name);
        if (r >= 0 && strcmp(name, "Health") == 0) {
            if ((r = sd_bus_message_enter_container(reply, 'v', "a{st}")) >= 0 &&
                (r = read_losses(reply, ret->losses)) >= 0)
                r = sd_bus_message_exit_container(reply);
        } else if (r >= 0)
            r = sd_bus_message_skip(reply, "v");
        if (r < 0 || (r = sd_bus_message_exit_container(reply)) < 0)
            return r;
    }
    return r;
}

int answer_ports(sd_bus_message *reply, struct port_list *ret)
{
    struct port_name *ports;
    const char *description;
    size_t size = 0;
    uint16_t port;
    int r;

    r = sd_bus_message_enter_container(reply, 'a', "(qs)");
    while (r >= 0 && (r = sd_bus_message_read(reply, "(qs)", &port, &description)) > 0) {
        if (ret->n == size) {
            size = size * 2 ?: 16;
            ports = reallocarray(ret->ports, size, sizeof(*ports));
            if (!ports)
                return -ENOMEM;
            ret->ports = ports;
        }
        ret->ports[ret->n] = (struct port_name){port, strdup(description)};
        if (!ret->ports[ret->n++].description)
            return -ENOMEM;
    }
    return r;
}

int answer_record(sd_bus_message *reply, struct interval *ret)
{
    struct traffic *t = &ret->traffic;

    return sd_bus_message_read(reply, "(tttttttt)", &ret->start_usec, &t->rx_bytes, &t->tx_bytes,
                               &t->rx_packets, &t->tx_packets, &t->connections, &t->peak_rx_rate,
                               &t->peak_tx_rate);
}

int answer_gaps(sd_bus_message *reply, struct gap_list *ret)
{
    struct gap gap = {};
    const char *name;
    int r, reason;

    r = sd_bus_message_enter_container(reply, 'a', "(tts)");
    while (r >= 0 &&
           (r = sd_bus_message_read(reply, "(tts)", &gap.from_usec, &gap.until_usec, &name)) > 0) {
        reason = gap_reason_from_string(name);
        if (reason < 0)
            continue; /* one that a newer portmond knows */
        gap.reason = (enum gap_reason) reason;
        r = gap_list_add(ret, &gap);
    }
    return r;
}

static int read_connection(sd_bus_message *reply, struct connection *ret)
{
    _cleanup_free_ char *role = NULL;
    const struct field fields[] = {
        {"LocalAddr", 's', &ret->local_address},
        {"LocalPort", 'q', &ret->local_port},
        {"RemoteAddr", 's', &ret->remote_address},
        {"RemotePort", 'q', &ret->remote_port},
        {"Role", 's', &role},
        {"State", 's', &ret->state},
        {"RxBytes", 't', &ret->rx_bytes},
        {"TxBytes", 't', &ret->tx_bytes},
        {"RxRate", 't', &ret->rx_rate},
        {"TxRate", 't', &ret->tx_rate},
        {"StartedAt", 't', &ret->started_usec},
        {"Duration", 't', &ret->duration_usec},
        {"Adopted", 'b', &ret->adopted},
        {"RttUsec", 't', &ret->rtt_usec},
        {"Retransmissions", 't', &ret->retransmissions},
        {"Pid", 'u', &ret->pid},
        {"Process", 's', &ret->process},
    };
    int r = read_record_fields(reply, fields, ELEMENTSOF(fields)), parsed;

    if (r < 0)
        return r;
    parsed = role_from_string(role);
    ret->role = parsed < 0 ? ROLE_SERVER : (enum role) parsed;
    return 0;
}

static int compare_busy(const void *a, const void *b)
{
    const struct connection *x = a, *y = b;
    uint64_t x_rate = x->rx_rate + x->tx_rate, y_rate = y->rx_rate + y->tx_rate;
    uint64_t x_bytes = x->rx_bytes + x->tx_bytes, y_bytes = y->rx_bytes + y->tx_bytes;

    if (x_rate != y_rate)
        return x_rate > y_rate ? -1 : 1;
    return (x_bytes < y_bytes) - (x_bytes > y_bytes);
}

int answer_connections(sd_bus_message *reply, struct connection_list *ret)
{
    struct connection *connections;
    size_t size = 0;
    int r;

    r = sd_bus_message_enter_container(reply, 'a', "a{sv}");
    while (r >= 0 && (r = sd_bus_message_at_end(reply, false)) == 0) {
        if (ret->n == size) {
            size = size * 2 ?: 16;
            connections = reallocarray(ret->connections, size, sizeof(*connections));
            if (!connections)
                return -ENOMEM;
            ret->connections = connections;
        }
        ret->connections[ret->n] = (struct connection){};
        r = read_connection(reply, &ret->connections[ret->n++]);
    }
    if (r < 0)
        return r;
    if (ret->n)
        qsort(ret->connections, ret->n, sizeof(*ret->connections), compare_busy);
    return 0;
}
