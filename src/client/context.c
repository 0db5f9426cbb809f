/* SPDX-License-Identifier: MIT */
/* What verbs share. */
#include "client/json.h"
#include "client/polkit-agent.h"
#include "client/table.h"
#include "client/verbs.h"
#include "shared/parse.h"
#include "shared/time-util.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int context_connect(struct context *context, struct reason *reason)
{
    const struct monitor_target target = {
        .socket_path = context->arguments.socket_path,
        .host = context->arguments.host,
    };

    return monitor_client_open(&context->client, &target, reason);
}

int context_connect_to_change(struct context *context, struct reason *reason)
{
    const struct arguments *arguments = &context->arguments;

    /* Only the system bus of this host asks polkit here. */
    if (!arguments->socket_path && !arguments->host)
        context->agent = polkit_agent_start();
    return context_connect(context, reason);
}

void context_done(struct context *context)
{
    context->client = monitor_client_free(context->client);
    polkit_agent_stop(context->agent);
}

int context_use_zone(struct context *context, struct reason *reason)
{
    _cleanup_service_status_ struct service_status status = {};
    int r = monitor_client_status(context->client, &status, reason);

    if (r < 0)
        return r;
    if (*status.time_zone)
        setenv("TZ", status.time_zone, true);
    calendar_refresh_zone();
    context->retention_days = status.retention_days;
    return 0;
}

int context_show(struct context *context, show_port show, struct reason *reason)
{
    _cleanup_(json_freep) struct json_object *list = NULL;
    _cleanup_port_list_ struct port_list ports = {};
    const struct arguments *arguments = &context->arguments;
    bool any = false;
    int r;

    if (arguments->port)
        return show(context, arguments->port, NULL, reason);
    r = monitor_client_list_ports(context->client, &ports, reason);
    if (r < 0)
        return r;
    if (!ports.n && !arguments->json && !arguments->csv)
        hint_no_ports();
    list = json_list_new();
    for (size_t i = 0; i < ports.n; i++) {
        r = show(context, ports.ports[i].port, list, reason);
        if (r == -ENOENT) /* it was removed meanwhile */
            r = 0;
        if (r < 0 && r != -ENODATA)
            return r;
        any |= r >= 0;
    }
    if (ports.n && !any)
        return r;
    return arguments->json ? json_print(list) : 0;
}

void context_begin_text(struct context *context)
{
    if (context->shown)
        putchar('\n');
    context->shown = true;
}

void hint_no_ports(void)
{
    fputs("No port is watched; add one: portmon add-port PORT\n", stderr);
}

unsigned context_columns(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;
    uint64_t n;

    if (columns && parse_number(columns, 1, USHRT_MAX, &n) >= 0)
        return (unsigned) n;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

void context_print_table(struct table *table)
{
    if (isatty(STDOUT_FILENO))
        table_fit(table, context_columns());
    table_print(table, stdout, context_wants_color());
}

bool context_wants_color(void)
{
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no_color && *no_color) && terminal &&
           strcmp(terminal, "dumb") != 0;
}

/** The watched port that is nearest to @port by number, or 0. */
static uint16_t nearest_port(struct context *context, uint16_t port)
{
    _cleanup_port_list_ struct port_list list = {};
    uint16_t nearest = 0;

    if (!port || !context->client || monitor_client_list_ports(context->client, &list, NULL) < 0)
        return 0;
    for (size_t i = 0; i < list.n; i++)
        if (!nearest || abs(list.ports[i].port - port) < abs(nearest - port))
            nearest = list.ports[i].port;
    return nearest;
}

int report_failure(struct context *context, const struct reason *reason, int r)
{
    uint16_t nearest = 0;
    struct reason line = *reason; /* which may quote what another host has said */

    if (r == -ENOENT)
        nearest = nearest_port(context, context->arguments.port);
    make_printable(line.text);
    fprintf(stderr, "portmon: %s", *line.text ? line.text : strerrordesc_np(-r));
    if (nearest)
        fprintf(stderr, "; the nearest that is watched is %u", nearest);
    fputc('\n', stderr);
    return STATUS_FAILED;
}

/* ---- ranges ---- */

/** What is usual for a resolution, where no range is named. */
static struct range_request usual_range(enum resolution by, struct date today)
{
    switch (by) {
    case RESOLUTION_5MIN:
        return (struct range_request){.kind = RANGE_TODAY};
    case RESOLUTION_HOUR:
        return (struct range_request){
            .kind = RANGE_DATES, .from = date_add_days(today, -1), .to = today};
    case RESOLUTION_MONTH:
        return (struct range_request){
            .kind = RANGE_DATES, .from = date_add_months(date_month(today), -11), .to = today};
    default:
        return (struct range_request){.kind = RANGE_LAST_30_DAYS};
    }
}

static int find_range(struct context *context, uint16_t port, enum resolution by, uint64_t now,
                      struct range *ret, struct reason *reason)
{
    struct range_request request = context->arguments.range;
    _cleanup_port_stats_ struct port_stats stats = {};
    struct date today = date_of(now);
    int r;

    if (request.kind == RANGE_NONE)
        request = usual_range(by, today);
    if (request.kind == RANGE_CYCLE && !request.cycle_day) {
        r = monitor_client_stats(context->client, port, &stats, reason);
        if (r < 0)
            return r;
        if (!stats.cycle_day)
            return fail(reason, -ENODATA,
                        "Port %u has no billing cycle of its own: give --cycle-day, or set "
                        "cycle_day in portmond's configuration",
                        port);
    }
    *ret = range_resolve(&request, (int) stats.cycle_day, today);
    return 0;
}

static int add_percentile(struct context *context, uint16_t port, uint64_t now,
                          struct summary *summary, struct reason *reason)
{
    _cleanup_history_ struct history buckets = {};
    const struct range *range = &summary->range;
    size_t n = intervals_over(range->from_usec, range->until_usec, now);
    struct date detail = date_add_days(date_of(now), -(int) context->retention_days);
    int r;

    /* Older detail may be forgotten by now, and a percentile of the rest would be wrong. */
    if (n == 0 || date_compare(range->first, detail) < 0)
        return 0;
    r = monitor_client_history(context->client, port, context->arguments.role, range->from_usec,
                               range->from_usec + n * BUCKET_USEC,
                               resolution_to_string(RESOLUTION_5MIN), &buckets, reason);
    if (r < 0)
        return r;
    percentile_find(&summary->percentile, &buckets, n);
    return 0;
}

int context_summary(struct context *context, uint16_t port, const struct summary_request *request,
                    struct summary *ret, struct reason *reason)
{
    _cleanup_summary_ struct summary summary = {};
    enum role role = context->arguments.role;
    uint64_t now = now_usec(CLOCK_REALTIME);
    const struct range *range = &summary.range;
    int r;

    if ((r = find_range(context, port, request->by, now, &summary.range, reason)) < 0 ||
        (r = monitor_client_range(context->client, port, role, range->from_usec, range->until_usec,
                                  &summary.total, reason)) < 0 ||
        (r = monitor_client_history(context->client, port, role, range->from_usec,
                                    range->until_usec, resolution_to_string(request->by),
                                    &summary.rows, reason)) < 0 ||
        (r = monitor_client_gaps(context->client, range->from_usec, range->until_usec,
                                 &summary.gaps, reason)) < 0 ||
        (request->percentile && (r = add_percentile(context, port, now, &summary, reason)) < 0))
        return r;
    summary_estimate(&summary, now);
    *ret = summary;
    summary = (struct summary){};
    return 0;
}

const char *gap_span(char buffer[static GAP_SPAN_SIZE], const struct gap *gap, bool utc)
{
    char from[FORMAT_SIZE], until[FORMAT_SIZE];

    format_timestamp(from, gap->from_usec, utc);
    format_timestamp(until, gap->until_usec, utc);
    if (strcmp(from, until) == 0)
        snprintf(buffer, GAP_SPAN_SIZE, "at %s", from);
    else
        snprintf(buffer, GAP_SPAN_SIZE, "from %s to %s", from, until);
    return buffer;
}

void print_gaps(const struct gap_list *gaps, bool utc)
{
    char span[GAP_SPAN_SIZE];

    if (gaps->n)
        puts("\nGaps:");
    for (size_t i = 0; i < gaps->n; i++)
        printf("  %s: %s\n", gap_span(span, &gaps->gaps[i], utc),
               gap_reason_explain(gaps->gaps[i].reason));
}
