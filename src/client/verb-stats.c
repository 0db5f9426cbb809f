/* SPDX-License-Identifier: MIT */
/* Live figures, or the sum and the days of a range. */
#include "client/json.h"
#include "client/table.h"
#include "client/verbs.h"
#include "shared/time-util.h"

#include <errno.h>
#include <inttypes.h>

/* ---- live ---- */

/** Adds a row of received, sent and their sum, as @format writes them. */
static int add_figures(struct table *table, const char *prefix, const char *name, uint64_t rx,
                       uint64_t tx, const char *(*format)(char *, uint64_t, enum unit_system),
                       enum unit_system units)
{
    char text[FORMAT_SIZE];
    int r;

    if ((r = table_add(table, "%s%s", prefix, name)) < 0 ||
        (r = table_add(table, "%s", format(text, rx, units))) < 0 ||
        (r = table_add(table, "%s", format(text, tx, units))) < 0 ||
        (r = table_add(table, "%s", format(text, rx + tx, units))) < 0)
        return r;
    return 0;
}

static int add_role(struct table *table, const char *prefix, const struct role_figures *f,
                    enum unit_system units)
{
    int r;

    if ((r = add_figures(table, prefix, "now", f->rx_rate, f->tx_rate, format_rate, units)) < 0 ||
        (r = add_figures(table, prefix, "today", f->today_rx_bytes, f->today_tx_bytes, format_bytes,
                         units)) < 0 ||
        (r = add_figures(table, prefix, "in all", f->rx_bytes, f->tx_bytes, format_bytes, units)) <
            0)
        return r;
    return 0;
}

/** Prints the figures of one port: those of the server, and the client's if there are or if asked
 * for; then those alone. */
static int print_port(const struct port_stats *stats, const struct arguments *arguments)
{
    static const struct column columns[] = {
        {"", ALIGN_LEFT},
        {"RECEIVED", ALIGN_RIGHT},
        {"SENT", ALIGN_RIGHT},
        {"SUM", ALIGN_RIGHT},
    };
    _cleanup_(table_freep) struct table *table = table_new(columns, ELEMENTSOF(columns));
    const struct role_figures *server = &stats->role[ROLE_SERVER];
    const struct role_figures *client = &stats->role[ROLE_CLIENT];
    bool only_client = arguments->role == ROLE_CLIENT;
    bool has_client = client->connections_total || client->rx_bytes || client->tx_bytes;
    enum unit_system units = arguments->units;

    if (!table || (!only_client && add_role(table, "", server, units) < 0) ||
        ((only_client || has_client) && add_role(table, "as client, ", client, units) < 0))
        return -ENOMEM;
    printf("Port %u%s%s%s\n\n", stats->port, *stats->description ? " (" : "", stats->description,
           *stats->description ? ")" : "");
    context_print_table(table);
    putchar('\n');
    if (!only_client)
        printf("Connections: %" PRIu64 " open, %" PRIu64 " in all\n", server->connections,
               server->connections_total);
    if (only_client || has_client)
        printf("%s: %" PRIu64 " open, %" PRIu64 " in all\n",
               only_client ? "Connections as client" : "  as client", client->connections,
               client->connections_total);
    if (!stats->exact)
        puts("Not exact: see COLLECTORS in portmond(8)");
    return 0;
}

static int add_port_row(struct table *table, const struct port_stats *stats,
                        const struct arguments *arguments)
{
    const struct role_figures *f = &stats->role[arguments->role];
    enum unit_system units = arguments->units;
    char text[FORMAT_SIZE];
    int r;

    if ((r = table_add(table, "%u", stats->port)) < 0 ||
        (r = table_add(table, "%s", format_rate(text, f->rx_rate, units))) < 0 ||
        (r = table_add(table, "%s", format_rate(text, f->tx_rate, units))) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, f->today_rx_bytes, units))) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, f->today_tx_bytes, units))) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, f->rx_bytes, units))) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, f->tx_bytes, units))) < 0 ||
        (r = table_add(table, "%" PRIu64, f->connections)) < 0 ||
        (r = table_add(table, "%s%s", stats->description, stats->exact ? "" : " (not exact)")) < 0)
        return r;
    return 0;
}

static int show_live(struct context *context, struct reason *reason)
{
    _cleanup_(json_freep) struct json_object *json = NULL;
    _cleanup_port_stats_ struct port_stats stats = {};
    int r = monitor_client_stats(context->client, context->arguments.port, &stats, reason);

    if (r < 0)
        return r;
    if (context->arguments.json) {
        json = json_stats(&stats);
        return json_print(json);
    }
    make_printable(stats.description);
    return print_port(&stats, &context->arguments);
}

static int print_ports(const struct port_stats_list *all, const struct arguments *arguments)
{
    static const struct column columns[] = {
        {"PORT", ALIGN_RIGHT},        {"RX RATE", ALIGN_RIGHT},     {"TX RATE", ALIGN_RIGHT},
        {"TODAY RX", ALIGN_RIGHT, 2}, {"TODAY TX", ALIGN_RIGHT, 2}, {"RX", ALIGN_RIGHT, 3},
        {"TX", ALIGN_RIGHT, 3},       {"OPEN", ALIGN_RIGHT, 1},     {"DESCRIPTION", ALIGN_LEFT},
    };
    _cleanup_(table_freep) struct table *table = table_new(columns, ELEMENTSOF(columns));
    int r = table ? 0 : -ENOMEM;

    for (size_t i = 0; r >= 0 && i < all->n; i++)
        r = add_port_row(table, &all->ports[i], arguments);
    if (r < 0)
        return r;
    if (!all->n)
        hint_no_ports();
    context_print_table(table);
    return 0;
}

static int show_all_live(struct context *context, struct reason *reason)
{
    _cleanup_(json_freep) struct json_object *list = NULL;
    _cleanup_port_stats_list_ struct port_stats_list all = {};
    int r = monitor_client_all_stats(context->client, &all, reason);

    if (r < 0)
        return r;
    if (!context->arguments.json)
        return print_ports(&all, &context->arguments);
    list = json_list_new();
    for (size_t i = 0; r >= 0 && i < all.n; i++)
        r = json_emit(list, json_stats(&all.ports[i]));
    return r < 0 ? r : json_print(list);
}

/* ---- ranges ---- */

static int add_day(struct table *table, const char *name, const char *mark,
                   const struct traffic *traffic, enum unit_system units)
{
    char text[FORMAT_SIZE];
    int r;

    if ((r = table_add(table, "%s%s", name, mark)) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, traffic->rx_bytes, units))) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, traffic->tx_bytes, units))) < 0 ||
        (r = table_add(table, "%s",
                       format_bytes(text, traffic->rx_bytes + traffic->tx_bytes, units))) < 0 ||
        (r = table_add(table, "%s", format_rate(text, traffic->peak_rx_rate, units))) < 0 ||
        (r = table_add(table, "%s", format_rate(text, traffic->peak_tx_rate, units))) < 0 ||
        (r = table_add(table, "%" PRIu64, traffic->connections)) < 0)
        return r;
    return 0;
}

static void print_rest(const struct summary *summary, const struct arguments *arguments)
{
    const struct percentile *percentile = &summary->percentile;
    char rx[FORMAT_SIZE], tx[FORMAT_SIZE], sum[FORMAT_SIZE];
    enum unit_system units = arguments->units;

    if (summary->unfinished)
        printf("\n* not over yet. At this pace: %s received, %s sent, %s together\n",
               format_bytes(rx, summary->estimated_rx, units),
               format_bytes(tx, summary->estimated_tx, units),
               format_bytes(sum, summary->estimated_rx + summary->estimated_tx, units));
    if (percentile->n_intervals)
        printf("%s95th percentile: %s received, %s sent (of %zu intervals of 5 minutes)\n",
               summary->unfinished ? "" : "\n", format_rate(rx, percentile->rx_rate, units),
               format_rate(tx, percentile->tx_rate, units), percentile->n_intervals);
    print_gaps(&summary->gaps, arguments->utc);
}

static int print_range(uint16_t port, const struct summary *summary,
                       const struct arguments *arguments)
{
    static const struct column columns[] = {
        {"DAY", ALIGN_LEFT},
        {"RECEIVED", ALIGN_RIGHT},
        {"SENT", ALIGN_RIGHT},
        {"SUM", ALIGN_RIGHT, 1},
        {"PEAK RX", ALIGN_RIGHT, 2},
        {"PEAK TX", ALIGN_RIGHT, 2},
        {"CONNECTIONS", ALIGN_RIGHT, 3},
    };
    _cleanup_(table_freep) struct table *table = table_new(columns, ELEMENTSOF(columns));
    struct date today = date_of(now_usec(CLOCK_REALTIME));
    char first[DATE_STRING_SIZE], last[DATE_STRING_SIZE];
    int r = table ? 0 : -ENOMEM;

    for (size_t i = 0; r >= 0 && i < summary->rows.n; i++) {
        struct date date = date_of(summary->rows.rows[i].start_usec);

        r = add_day(table, date_format(date, first), date_compare(date, today) == 0 ? "*" : "",
                    &summary->rows.rows[i].traffic, arguments->units);
    }
    if (r >= 0)
        r = add_day(table, "total", summary->unfinished ? "*" : "", &summary->total,
                    arguments->units);
    if (r < 0)
        return r;
    printf("Port %u as %s, %s to %s\n\n", port, role_to_string(arguments->role),
           date_format(summary->range.first, first), date_format(summary->range.last, last));
    context_print_table(table);
    print_rest(summary, arguments);
    return 0;
}

static int show_range(struct context *context, uint16_t port, struct json_object *list,
                      struct reason *reason)
{
    static const struct summary_request request = {.by = RESOLUTION_DAY, .percentile = true};
    const struct arguments *arguments = &context->arguments;
    _cleanup_summary_ struct summary summary = {};
    int r = context_summary(context, port, &request, &summary, reason);

    if (r < 0)
        return r;
    if (arguments->json)
        return json_emit(list, json_range(port, arguments->role, &summary, arguments->utc));
    context_begin_text(context);
    return print_range(port, &summary, arguments);
}

int verb_stats(struct context *context)
{
    struct reason reason = {};
    int r = context_connect(context, &reason);

    if (r >= 0 && context->arguments.range.kind != RANGE_NONE) {
        r = context_use_zone(context, &reason);
        if (r >= 0)
            r = context_show(context, show_range, &reason);
    } else if (r >= 0)
        r = context->arguments.port ? show_live(context, &reason) : show_all_live(context, &reason);
    return r < 0 ? report_failure(context, &reason, r) : STATUS_DONE;
}
