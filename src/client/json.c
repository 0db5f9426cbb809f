/* SPDX-License-Identifier: MIT */
#include "client/json.h"

#include "client/arguments.h"
#include "shared/format.h"

#include <json-c/json.h>
#include <stdio.h>

struct json_object *json_free(struct json_object *object)
{
    json_object_put(object);
    return NULL;
}

void range_report_clear(struct range_report *report)
{
    history_clear(&report->days);
}

static void add_number(struct json_object *object, const char *name, uint64_t value)
{
    json_object_object_add(object, name, json_object_new_uint64(value));
}

static void add_string(struct json_object *object, const char *name, const char *value)
{
    json_object_object_add(object, name, json_object_new_string(value));
}

static void add_date(struct json_object *object, const char *name, struct date date)
{
    char text[DATE_STRING_SIZE];

    add_string(object, name, date_format(date, text));
}

static void add_time(struct json_object *object, const char *name, uint64_t usec)
{
    char text[FORMAT_SIZE];

    add_string(object, name, format_timestamp(text, usec, false));
}

static void add_figures(struct json_object *object, const struct role_figures *figures)
{
    add_number(object, "rx_bytes", figures->rx_bytes);
    add_number(object, "tx_bytes", figures->tx_bytes);
    add_number(object, "rx_packets", figures->rx_packets);
    add_number(object, "tx_packets", figures->tx_packets);
    add_number(object, "connections", figures->connections);
    add_number(object, "connections_total", figures->connections_total);
    add_number(object, "rx_rate", figures->rx_rate);
    add_number(object, "tx_rate", figures->tx_rate);
    add_number(object, "today_rx_bytes", figures->today_rx_bytes);
    add_number(object, "today_tx_bytes", figures->today_tx_bytes);
}

static void add_traffic(struct json_object *object, const struct traffic *traffic)
{
    add_number(object, "rx_bytes", traffic->rx_bytes);
    add_number(object, "tx_bytes", traffic->tx_bytes);
    add_number(object, "rx_packets", traffic->rx_packets);
    add_number(object, "tx_packets", traffic->tx_packets);
    add_number(object, "connections", traffic->connections);
    add_number(object, "peak_rx_rate", traffic->peak_rx_rate);
    add_number(object, "peak_tx_rate", traffic->peak_tx_rate);
}

struct json_object *json_stats(const struct port_stats *stats)
{
    struct json_object *object = json_object_new_object();
    struct json_object *client = json_object_new_object();

    add_number(object, "port", stats->port);
    add_string(object, "description", stats->description);
    add_figures(object, &stats->role[ROLE_SERVER]);
    add_figures(client, &stats->role[ROLE_CLIENT]);
    json_object_object_add(object, "client", client);
    return object;
}

struct json_object *json_range_report(const struct range_report *report)
{
    struct json_object *object = json_object_new_object();
    struct json_object *days = json_object_new_array();
    const struct traffic *total = &report->total;

    add_number(object, "port", report->port);
    add_date(object, "start_date", report->range.first);
    add_date(object, "end_date", report->range.last);
    add_number(object, "total_rx", total->rx_bytes);
    add_number(object, "total_tx", total->tx_bytes);
    add_number(object, "total_bytes", total->rx_bytes + total->tx_bytes);
    add_number(object, "peak_rx_rate", total->peak_rx_rate);
    add_number(object, "peak_tx_rate", total->peak_tx_rate);
    for (size_t i = 0; i < report->days.n; i++) {
        const struct interval *day = &report->days.rows[i];
        struct json_object *row = json_object_new_object();

        add_date(row, "date", date_of(day->start_usec));
        add_traffic(row, &day->traffic);
        json_object_array_add(days, row);
    }
    json_object_object_add(object, "daily_stats", days);
    return object;
}

static struct json_object *port_array(const struct port_list *ports)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < ports->n; i++) {
        struct json_object *port = json_object_new_object();

        add_number(port, "port", ports->ports[i].port);
        add_string(port, "description", ports->ports[i].description);
        json_object_array_add(array, port);
    }
    return array;
}

struct json_object *json_status(const struct service_status *status, const struct port_list *ports,
                                uint64_t now_usec)
{
    struct json_object *object = json_object_new_object();
    struct json_object *losses = json_object_new_object();

    json_object_object_add(object, "running", json_object_new_boolean(true));
    add_number(object, "uptime", now_usec - status->start_usec);
    add_time(object, "start_time", status->start_usec);
    add_number(object, "monitored_ports", ports->n);
    json_object_object_add(object, "port_infos", port_array(ports));
    add_string(object, "data_dir", status->data_directory);
    add_number(object, "retention_days", status->retention_days);
    add_string(object, "socket_path", status->socket_path);
    add_string(object, "version", status->version);
    add_string(object, "collector", status->collector);
    add_string(object, "time_zone", status->time_zone);
    for (size_t i = 0; i < N_LOSSES; i++)
        add_number(losses, status->losses[i].name, status->losses[i].count);
    json_object_object_add(object, "losses", losses);
    return object;
}

struct json_object *json_ports(const struct port_list *ports)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "ports", port_array(ports));
    return object;
}

struct json_object *json_list(const char *name)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, name, json_object_new_array());
    return object;
}

void json_append(struct json_object *list, const char *name, struct json_object *item)
{
    json_object_array_add(json_object_object_get(list, name), item);
}

int json_print(struct json_object *object)
{
    const char *text = json_object_to_json_string_ext(
        object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);

    return text && puts(text) >= 0 && fflush(stdout) == 0 ? STATUS_DONE : STATUS_FAILED;
}
