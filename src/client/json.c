/* SPDX-License-Identifier: MIT */
#include "client/json.h"

#include "shared/format.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>

struct json_object *json_free(struct json_object *object)
{
    json_object_put(object);
    return NULL;
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

static void add_time(struct json_object *object, const char *name, uint64_t usec, bool utc)
{
    char text[FORMAT_SIZE];

    add_string(object, name, format_timestamp(text, usec, utc));
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
    json_object_object_add(object, "exact", json_object_new_boolean(stats->exact));
    if (stats->cycle_day)
        add_number(object, "cycle_day", stats->cycle_day);
    add_figures(object, &stats->role[ROLE_SERVER]);
    add_figures(client, &stats->role[ROLE_CLIENT]);
    json_object_object_add(object, "client", client);
    return object;
}

static void add_gaps(struct json_object *object, const struct gap_list *gaps, bool utc)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < gaps->n; i++) {
        struct json_object *gap = json_object_new_object();

        add_time(gap, "from", gaps->gaps[i].from_usec, utc);
        add_time(gap, "until", gaps->gaps[i].until_usec, utc);
        add_string(gap, "reason", gap_reason_to_string(gaps->gaps[i].reason));
        add_string(gap, "text", gap_reason_explain(gaps->gaps[i].reason));
        json_object_array_add(array, gap);
    }
    json_object_object_add(object, "gaps", array);
}

static void add_percentile(struct json_object *object, const struct percentile *percentile)
{
    struct json_object *values = NULL;

    if (percentile->n_intervals) {
        values = json_object_new_object();
        add_number(values, "rx_rate", percentile->rx_rate);
        add_number(values, "tx_rate", percentile->tx_rate);
        add_number(values, "intervals", percentile->n_intervals);
    }
    json_object_object_add(object, "percentile_95", values);
}

static void add_estimate(struct json_object *object, const struct summary *summary)
{
    struct json_object *values = NULL;

    json_object_object_add(object, "unfinished", json_object_new_boolean(summary->unfinished));
    if (summary->unfinished) {
        values = json_object_new_object();
        add_number(values, "total_rx", summary->estimated_rx);
        add_number(values, "total_tx", summary->estimated_tx);
    }
    json_object_object_add(object, "estimate", values);
}

struct json_object *json_range(uint16_t port, enum role role, const struct summary *summary,
                               bool utc)
{
    struct json_object *object = json_object_new_object();
    struct json_object *days = json_object_new_array();
    const struct traffic *total = &summary->total;

    add_number(object, "port", port);
    add_string(object, "role", role_to_string(role));
    add_date(object, "start_date", summary->range.first);
    add_date(object, "end_date", summary->range.last);
    add_number(object, "total_rx", total->rx_bytes);
    add_number(object, "total_tx", total->tx_bytes);
    add_number(object, "total_bytes", total->rx_bytes + total->tx_bytes);
    add_number(object, "total_connections", total->connections);
    add_number(object, "peak_rx_rate", total->peak_rx_rate);
    add_number(object, "peak_tx_rate", total->peak_tx_rate);
    add_percentile(object, &summary->percentile);
    add_estimate(object, summary);
    for (size_t i = 0; i < summary->rows.n; i++) {
        const struct interval *day = &summary->rows.rows[i];
        struct json_object *row = json_object_new_object();

        add_date(row, "date", date_of(day->start_usec));
        add_traffic(row, &day->traffic);
        json_object_array_add(days, row);
    }
    json_object_object_add(object, "daily_stats", days);
    add_gaps(object, &summary->gaps, utc);
    return object;
}

struct json_object *json_history(uint16_t port, enum role role, enum resolution resolution,
                                 const struct summary *summary, bool utc)
{
    struct json_object *object = json_object_new_object();
    struct json_object *rows = json_object_new_array();

    add_number(object, "port", port);
    add_string(object, "role", role_to_string(role));
    add_string(object, "resolution", resolution_to_string(resolution));
    for (size_t i = 0; i < summary->rows.n; i++) {
        struct json_object *row = json_object_new_object();

        add_time(row, "start", summary->rows.rows[i].start_usec, utc);
        add_traffic(row, &summary->rows.rows[i].traffic);
        json_object_array_add(rows, row);
    }
    json_object_object_add(object, "rows", rows);
    add_gaps(object, &summary->gaps, utc);
    return object;
}

static struct json_object *json_connection(const struct connection *c)
{
    struct json_object *object = json_object_new_object();

    add_string(object, "local_addr", c->local_address);
    add_number(object, "local_port", c->local_port);
    add_string(object, "remote_addr", c->remote_address);
    add_number(object, "remote_port", c->remote_port);
    add_string(object, "role", role_to_string(c->role));
    add_string(object, "state", c->state);
    add_number(object, "rx_bytes", c->rx_bytes);
    add_number(object, "tx_bytes", c->tx_bytes);
    add_number(object, "rx_rate", c->rx_rate);
    add_number(object, "tx_rate", c->tx_rate);
    add_time(object, "started_at", c->started_usec, false);
    add_number(object, "duration", c->duration_usec);
    json_object_object_add(object, "adopted", json_object_new_boolean(c->adopted));
    add_number(object, "rtt_usec", c->rtt_usec);
    add_number(object, "retransmissions", c->retransmissions);
    add_number(object, "pid", c->pid);
    add_string(object, "process", c->process);
    return object;
}

struct json_object *json_connections(uint16_t port, const struct connection_list *list)
{
    struct json_object *object = json_object_new_object();
    struct json_object *connections = json_object_new_array();

    add_number(object, "port", port);
    add_number(object, "count", list->n);
    for (size_t i = 0; i < list->n; i++)
        json_object_array_add(connections, json_connection(&list->connections[i]));
    json_object_object_add(object, "connections", connections);
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
                                const struct gap_list *gaps, uint64_t now_usec)
{
    struct json_object *object = json_object_new_object();
    struct json_object *losses = json_object_new_object();

    json_object_object_add(object, "running", json_object_new_boolean(true));
    add_number(object, "uptime", now_usec - status->start_usec);
    add_time(object, "start_time", status->start_usec, false);
    add_number(object, "monitored_ports", ports->n);
    json_object_object_add(object, "port_infos", port_array(ports));
    add_string(object, "data_dir", status->data_directory);
    add_number(object, "retention_days", status->retention_days);
    add_string(object, "socket_path", status->socket_path);
    add_string(object, "version", status->version);
    add_string(object, "collector", status->collector);
    json_object_object_add(object, "exact", json_object_new_boolean(status->exact));
    add_string(object, "time_zone", status->time_zone);
    add_string(object, "ledger_failure", status->ledger_failure);
    for (size_t i = 0; i < N_LOSSES; i++)
        add_number(losses, status->losses[i].name, status->losses[i].count);
    json_object_object_add(object, "losses", losses);
    add_gaps(object, gaps, false);
    return object;
}

struct json_object *json_ports(const struct port_list *ports)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "ports", port_array(ports));
    return object;
}

struct json_object *json_line(uint16_t port, enum role role, const struct role_figures *figures,
                              uint64_t now_usec, bool utc)
{
    struct json_object *object = json_object_new_object();

    add_time(object, "time", now_usec, utc);
    add_number(object, "port", port);
    add_string(object, "role", role_to_string(role));
    add_figures(object, figures);
    return object;
}

struct json_object *json_findings_new(void)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "well", json_object_new_boolean(false));
    json_object_object_add(object, "checks", json_object_new_array());
    return object;
}

void json_add_finding(void *object, const char *name, const struct finding *finding)
{
    struct json_object *check = json_object_new_object();

    add_string(check, "name", name);
    add_string(check, "verdict", verdict_to_string(finding->verdict));
    add_string(check, "text", finding->text);
    json_object_array_add(json_object_object_get(object, "checks"), check);
}

void json_finish_findings(struct json_object *object, bool good)
{
    json_object_object_add(object, "well", json_object_new_boolean(good));
}

struct json_object *json_list_new(void)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "ports", json_object_new_array());
    return object;
}

int json_emit(struct json_object *list, struct json_object *object)
{
    int r;

    if (list)
        return json_object_array_add(json_object_object_get(list, "ports"), object) < 0 ? -ENOMEM
                                                                                        : 0;
    r = json_print(object);
    json_free(object);
    return r;
}

/* Whether it could be written is seen at the end, as with any other output. */
static int print_text(const char *text)
{
    if (!text)
        return -ENOMEM;
    puts(text);
    return 0;
}

int json_print(struct json_object *object)
{
    const char *text = json_object_to_json_string_ext(
        object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);

    return print_text(text);
}

int json_print_line(struct json_object *object)
{
    return print_text(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
                                                                 JSON_C_TO_STRING_NOSLASHESCAPE));
}
