/* SPDX-License-Identifier: MIT */
#include "client/json.h"
#include "client/table.h"
#include "client/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/** An address and a port, as ss shows them: IPv6 in brackets. */
static int add_endpoint(struct table *table, const char *address, uint16_t port)
{
    bool brackets = strchr(address, ':');

    return table_add(table, "%s%s%s:%u", brackets ? "[" : "", address, brackets ? "]" : "", port);
}

static int add_connection(struct table *table, const struct connection *c, enum unit_system units)
{
    char text[FORMAT_SIZE];
    int r;

    if ((r = table_add(table, "%s", role_to_string(c->role))) < 0 ||
        (r = table_add(table, "%s", c->state)) < 0 ||
        (r = add_endpoint(table, c->local_address, c->local_port)) < 0 ||
        (r = add_endpoint(table, c->remote_address, c->remote_port)) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, c->rx_bytes, units))) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, c->tx_bytes, units))) < 0 ||
        (r = table_add(table, "%s", format_rate(text, c->rx_rate, units))) < 0 ||
        (r = table_add(table, "%s", format_rate(text, c->tx_rate, units))) < 0 ||
        (r = table_add(table, "%.1fms", (double) c->rtt_usec / 1000)) < 0 ||
        (r = table_add(table, "%" PRIu64, c->retransmissions)) < 0 ||
        (r = table_add(table, "%s%s", c->adopted ? ">" : "",
                       format_duration(text, c->duration_usec))) < 0)
        return r;
    if (!c->pid)
        return table_add(table, "-");
    return table_add(table, "%s/%" PRIu32, c->process, c->pid);
}

static int print_connections(uint16_t port, const struct connection_list *list,
                             enum unit_system units)
{
    static const struct column columns[] = {
        {"ROLE", ALIGN_LEFT, 3},     {"STATE", ALIGN_LEFT, 6},    {"LOCAL", ALIGN_LEFT, 4},
        {"REMOTE", ALIGN_LEFT},      {"RECEIVED", ALIGN_RIGHT},   {"SENT", ALIGN_RIGHT},
        {"RX RATE", ALIGN_RIGHT, 1}, {"TX RATE", ALIGN_RIGHT, 1}, {"RTT", ALIGN_RIGHT, 5},
        {"RETR", ALIGN_RIGHT, 7},    {"SINCE", ALIGN_RIGHT, 2},   {"PROCESS", ALIGN_LEFT},
    };
    _cleanup_(table_freep) struct table *table = table_new(columns, ELEMENTSOF(columns));
    int r = table ? 0 : -ENOMEM;

    for (size_t i = 0; r >= 0 && i < list->n; i++)
        r = add_connection(table, &list->connections[i], units);
    if (r < 0)
        return r;
    printf("Port %u, %zu open\n", port, list->n);
    if (list->n) {
        putchar('\n');
        context_print_table(table);
    }
    return 0;
}

static int show_connections(struct context *context, uint16_t port, struct json_object *list,
                            struct reason *reason)
{
    _cleanup_connection_list_ struct connection_list connections = {};
    int r = monitor_client_connections(context->client, port, &connections, reason);

    if (r < 0)
        return r;
    if (context->arguments.json)
        return json_emit(list, json_connections(port, &connections));
    if (!context->arguments.port && !connections.n)
        return -ENODATA; /* of all ports, those that have some */
    context_begin_text(context);
    return print_connections(port, &connections, context->arguments.units);
}

int verb_connections(struct context *context)
{
    struct reason reason = {};
    int r = context_connect_to_change(context, &reason);

    if (r >= 0)
        r = context_show(context, show_connections, &reason);
    if (r == -ENODATA) {
        puts("No connection is open.");
        r = 0;
    }
    return r < 0 ? report_failure(context, &reason, r) : STATUS_DONE;
}
