/* SPDX-License-Identifier: MIT */
#include "client/json.h"
#include "client/table.h"
#include "client/verbs.h"
#include "shared/format.h"
#include "shared/time-util.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- live ---- */

static int print_live(const struct port_stats *stats)
{
    static const struct column columns[] = {
        {"", ALIGN_LEFT},
        {"RECEIVED", ALIGN_RIGHT},
        {"SENT", ALIGN_RIGHT},
        {"SUM", ALIGN_RIGHT},
    };
    _cleanup_(table_freep) struct table *table = table_new(columns, ELEMENTSOF(columns));
    char rx[FORMAT_SIZE], tx[FORMAT_SIZE], sum[FORMAT_SIZE];

    if (!table)
        return -ENOMEM;
    printf("Port %u%s%s%s\n\n", stats->port, *stats->description ? " (" : "", stats->description,
           *stats->description ? ")" : "");
    for (enum role role = 0; role < _ROLE_MAX; role++) {
        const struct role_figures *f = &stats->role[role];
        const char *name = role == ROLE_SERVER ? "" : "as client, ";
        const struct {
            const char *name;
            uint64_t rx;
            uint64_t tx;
            const char *(*format)(char *, uint64_t, enum unit_system);
        } rows[] = {
            {"now", f->rx_rate, f->tx_rate, format_rate},
            {"today", f->today_rx_bytes, f->today_tx_bytes, format_bytes},
            {"in all", f->rx_bytes, f->tx_bytes, format_bytes},
        };

        if (role == ROLE_CLIENT && !f->connections_total && !f->rx_bytes && !f->tx_bytes)
            continue;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
            if (table_add(table, "%s%s", name, rows[i].name) < 0 ||
                table_add(table, "%s", rows[i].format(rx, rows[i].rx, UNITS_IEC)) < 0 ||
                table_add(table, "%s", rows[i].format(tx, rows[i].tx, UNITS_IEC)) < 0 ||
                table_add(table, "%s", rows[i].format(sum, rows[i].rx + rows[i].tx, UNITS_IEC)) < 0)
                return -ENOMEM;
    }
    table_print(table, stdout, context_wants_color());
    printf("\n%" PRIu64 " connections open, %" PRIu64 " in all\n",
           stats->role[ROLE_SERVER].connections, stats->role[ROLE_SERVER].connections_total);
    return 0;
}

static int add_live_row(struct table *table, const struct port_stats *stats)
{
    const struct role_figures *f = &stats->role[ROLE_SERVER];
    char text[FORMAT_SIZE];
    int r;

    if ((r = table_add(table, "%u", stats->port)) < 0 ||
        (r = table_add(table, "%s", format_rate(text, f->rx_rate, UNITS_IEC))) < 0 ||
        (r = table_add(table, "%s", format_rate(text, f->tx_rate, UNITS_IEC))) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, f->today_rx_bytes, UNITS_IEC))) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, f->today_tx_bytes, UNITS_IEC))) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, f->rx_bytes, UNITS_IEC))) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, f->tx_bytes, UNITS_IEC))) < 0 ||
        (r = table_add(table, "%" PRIu64, f->connections)) < 0 ||
        (r = table_add(table, "%s", stats->description)) < 0)
        return r;
    return 0;
}

static int show_live_port(struct context *context, struct reason *reason)
{
    _cleanup_(json_freep) struct json_object *json = NULL;
    _cleanup_port_stats_ struct port_stats stats = {};
    int r = monitor_client_stats(context->client, context->arguments.port, &stats, reason);

    if (r < 0)
        return r;
    if (!context->arguments.json)
        return print_live(&stats);
    json = json_stats(&stats);
    return json_print(json) == STATUS_DONE ? 0 : -EIO;
}

static int show_live_ports(struct context *context, struct reason *reason)
{
    static const struct column columns[] = {
        {"PORT", ALIGN_RIGHT},     {"RX RATE", ALIGN_RIGHT},  {"TX RATE", ALIGN_RIGHT},
        {"TODAY RX", ALIGN_RIGHT}, {"TODAY TX", ALIGN_RIGHT}, {"RX", ALIGN_RIGHT},
        {"TX", ALIGN_RIGHT},       {"OPEN", ALIGN_RIGHT},     {"DESCRIPTION", ALIGN_LEFT},
    };
    _cleanup_(table_freep) struct table *table = table_new(columns, ELEMENTSOF(columns));
    _cleanup_(json_freep) struct json_object *json = json_list("ports");
    _cleanup_port_list_ struct port_list ports = {};
    int r;

    if (!table || !json)
        return -ENOMEM;
    r = monitor_client_list_ports(context->client, &ports, reason);
    for (size_t i = 0; r >= 0 && i < ports.n; i++) {
        _cleanup_port_stats_ struct port_stats stats = {};

        r = monitor_client_stats(context->client, ports.ports[i].port, &stats, reason);
        if (r == -ENOENT) {
            r = 0; /* removed meanwhile */
            continue;
        }
        if (r < 0)
            return r;
        if (context->arguments.json)
            json_append(json, "ports", json_stats(&stats));
        else
            r = add_live_row(table, &stats);
    }
    if (r < 0)
        return r;
    if (context->arguments.json)
        return json_print(json) == STATUS_DONE ? 0 : -EIO;
    table_print(table, stdout, context_wants_color());
    return 0;
}

/* ---- ranges ---- */

static int read_report(struct context *context, uint16_t port, const struct range *range,
                       struct range_report *ret, struct reason *reason)
{
    enum role role = context->arguments.role;
    int r;

    ret->port = port;
    ret->range = *range;
    if ((r = monitor_client_range(context->client, port, role, range->from_usec, range->until_usec,
                                  &ret->total, reason)) < 0 ||
        (r = monitor_client_history(context->client, port, role, range->from_usec,
                                    range->until_usec, "day", &ret->days, reason)) < 0)
        return r;
    return 0;
}

static int add_report_row(struct table *table, const char *name, const struct traffic *traffic)
{
    char text[FORMAT_SIZE];
    int r;

    if ((r = table_add(table, "%s", name)) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, traffic->rx_bytes, UNITS_IEC))) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, traffic->tx_bytes, UNITS_IEC))) < 0 ||
        (r = table_add(table, "%s",
                       format_bytes(text, traffic->rx_bytes + traffic->tx_bytes, UNITS_IEC))) < 0 ||
        (r = table_add(table, "%s", format_rate(text, traffic->peak_rx_rate, UNITS_IEC))) < 0 ||
        (r = table_add(table, "%s", format_rate(text, traffic->peak_tx_rate, UNITS_IEC))) < 0 ||
        (r = table_add(table, "%" PRIu64, traffic->connections)) < 0)
        return r;
    return 0;
}

static int print_report(const struct range_report *report, enum role role)
{
    static const struct column columns[] = {
        {"DAY", ALIGN_LEFT},          {"RECEIVED", ALIGN_RIGHT}, {"SENT", ALIGN_RIGHT},
        {"SUM", ALIGN_RIGHT},         {"PEAK RX", ALIGN_RIGHT},  {"PEAK TX", ALIGN_RIGHT},
        {"CONNECTIONS", ALIGN_RIGHT},
    };
    _cleanup_(table_freep) struct table *table = table_new(columns, ELEMENTSOF(columns));
    char first[DATE_STRING_SIZE], last[DATE_STRING_SIZE];
    int r = table ? 0 : -ENOMEM;

    for (size_t i = 0; r >= 0 && i < report->days.n; i++)
        r = add_report_row(table, date_format(date_of(report->days.rows[i].start_usec), first),
                           &report->days.rows[i].traffic);
    if (r < 0 || (r = add_report_row(table, "total", &report->total)) < 0)
        return r;
    printf("Port %u, %s, %s to %s\n\n", report->port, role_to_string(role),
           date_format(report->range.first, first), date_format(report->range.last, last));
    table_print(table, stdout, context_wants_color());
    return 0;
}

/** Prints the report of one port, or puts it into @list. */
static int show_report(struct context *context, uint16_t port, const struct range *range,
                       struct json_object *list, struct reason *reason)
{
    _cleanup_range_report_ struct range_report report = {};
    _cleanup_(json_freep) struct json_object *json = NULL;
    int r = read_report(context, port, range, &report, reason);

    if (r < 0)
        return r;
    if (!context->arguments.json)
        return print_report(&report, context->arguments.role);
    json = json_range_report(&report);
    if (list) {
        json_append(list, "ports", TAKE_PTR(json));
        return 0;
    }
    return json_print(json) == STATUS_DONE ? 0 : -EIO;
}

static int show_range(struct context *context, struct reason *reason)
{
    _cleanup_(json_freep) struct json_object *list = json_list("ports");
    _cleanup_port_list_ struct port_list ports = {};
    struct range range;
    int r;

    r = context_use_zone(context, reason);
    if (r < 0)
        return r;
    range = range_resolve(&context->arguments.range, date_of(now_usec(CLOCK_REALTIME)));
    if (context->arguments.port)
        return show_report(context, context->arguments.port, &range, NULL, reason);

    r = monitor_client_list_ports(context->client, &ports, reason);
    for (size_t i = 0; r >= 0 && i < ports.n; i++) {
        if (i > 0 && !context->arguments.json)
            putchar('\n');
        r = show_report(context, ports.ports[i].port, &range, list, reason);
    }
    if (r < 0 || !context->arguments.json)
        return r;
    return json_print(list) == STATUS_DONE ? 0 : -EIO;
}

int verb_stats(struct context *context)
{
    const struct arguments *arguments = &context->arguments;
    struct reason reason = {};
    int r;

    r = context_connect(context, &reason);
    if (r >= 0) {
        if (arguments->range.kind != RANGE_NONE)
            r = show_range(context, &reason);
        else if (arguments->port)
            r = show_live_port(context, &reason);
        else
            r = show_live_ports(context, &reason);
    }
    return r < 0 ? report_failure(&reason, r) : STATUS_DONE;
}
