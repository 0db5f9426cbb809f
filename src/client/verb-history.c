/* SPDX-License-Identifier: MIT */
#include "client/json.h"
#include "client/table.h"
#include "client/text.h"
#include "client/verbs.h"
#include "shared/time-util.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define DEFAULT_TOP 10

/* Terminal columns of the bar at the end of each line: a shorter one tells nothing, a longer one
 * nothing more. */
#define MIN_BAR_WIDTH 8
#define MAX_BAR_WIDTH 40

/* ---- rows ---- */

static uint64_t sum_of(const struct interval *row)
{
    return row->traffic.rx_bytes + row->traffic.tx_bytes;
}

static int compare_heavy(const void *a, const void *b)
{
    uint64_t x = sum_of(a), y = sum_of(b);

    return (x < y) - (x > y);
}

/** Leaves the rows that were asked for: the last ones, or the heaviest. */
static void choose_rows(struct history *rows, const struct arguments *arguments)
{
    size_t limit = arguments->limit ?: arguments->top ? DEFAULT_TOP : rows->n;

    if (arguments->top && rows->n)
        qsort(rows->rows, rows->n, sizeof(*rows->rows), compare_heavy);
    if (limit >= rows->n)
        return;
    if (!arguments->top)
        memmove(rows->rows, rows->rows + rows->n - limit, limit * sizeof(*rows->rows));
    rows->n = limit;
}

/* ---- text ---- */

/** When an interval begins, as precisely as its resolution. */
static void format_start(char buffer[static FORMAT_SIZE], uint64_t usec, enum resolution resolution,
                         bool utc)
{
    static const char *const formats[_RESOLUTION_MAX] = {
        [RESOLUTION_5MIN] = "%F %H:%M",
        [RESOLUTION_HOUR] = "%F %H:%M",
        [RESOLUTION_DAY] = "%F",
        [RESOLUTION_MONTH] = "%Y-%m",
    };
    time_t sec = (time_t) (usec / USEC_PER_SEC);
    struct tm tm = {};

    /* Days and months are portmond's own, whatever the zone that times are shown in. */
    if (utc && resolution < RESOLUTION_DAY)
        gmtime_r(&sec, &tm);
    else
        localtime_r(&sec, &tm);
    strftime(buffer, FORMAT_SIZE, formats[resolution], &tm);
}

/** A bar of @value against @highest, of eighths of a column where the locale has them. */
static void format_bar(char *buffer, size_t size, unsigned width, uint64_t value, uint64_t highest)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    bool fine = text_is_unicode();
    unsigned length = highest ? (unsigned) ((unsigned __int128) value * width * 8 / highest) : 0;
    size_t n = 0;

    buffer[0] = '\0';
    for (unsigned i = 0; i < length / 8; i++)
        n += (size_t) snprintf(buffer + n, size - n, "%s", fine ? "█" : "#");
    if (fine)
        snprintf(buffer + n, size - n, "%s", eighths[length % 8]);
}

static int add_row(struct table *table, const struct interval *row, uint64_t now,
                   const struct arguments *arguments)
{
    char text[FORMAT_SIZE];
    const struct traffic *t = &row->traffic;
    enum unit_system units = arguments->units;
    uint64_t end = period_end(arguments->by, row->start_usec);
    uint64_t elapsed = (now < end ? now : end) - row->start_usec;
    int r;

    format_start(text, row->start_usec, arguments->by, arguments->utc);
    if ((r = table_add(table, "%s%s", text, now < end ? "*" : "")) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, t->rx_bytes, units))) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, t->tx_bytes, units))) < 0 ||
        (r = table_add(table, "%s", format_bytes(text, sum_of(row), units))) < 0 ||
        (r = table_add(table, "%s",
                       format_rate(text,
                                   (uint64_t) ((double) sum_of(row) * (double) USEC_PER_SEC /
                                               (double) (elapsed ?: 1)),
                                   units))) < 0 ||
        (r = table_add(table, "%" PRIu64, t->connections)) < 0)
        return r;
    return 0;
}

/** Makes a table of rows, with bars of that width if it is not 0. */
static int make_table(struct table **ret, const struct history *rows, unsigned bar_width,
                      uint64_t now, const struct arguments *arguments)
{
    static const struct column columns[] = {
        {"FROM", ALIGN_LEFT},    {"RECEIVED", ALIGN_RIGHT}, {"SENT", ALIGN_RIGHT},
        {"SUM", ALIGN_RIGHT, 1}, {"RATE", ALIGN_RIGHT, 2},  {"CONNECTIONS", ALIGN_RIGHT, 3},
        {"", ALIGN_LEFT},
    };
    _cleanup_(table_freep) struct table *table = table_new(columns,
                                                           ELEMENTSOF(columns) - !bar_width);
    char bar[MAX_BAR_WIDTH * sizeof("█")];
    uint64_t highest = 0;
    int r = table ? 0 : -ENOMEM;

    for (size_t i = 0; i < rows->n; i++)
        if (sum_of(&rows->rows[i]) > highest)
            highest = sum_of(&rows->rows[i]);
    for (size_t i = 0; r >= 0 && i < rows->n; i++) {
        r = add_row(table, &rows->rows[i], now, arguments);
        if (r >= 0 && bar_width) {
            format_bar(bar, sizeof(bar), bar_width, sum_of(&rows->rows[i]), highest);
            r = table_add(table, "%s", bar);
        }
    }
    if (r >= 0)
        *ret = TAKE_PTR(table);
    return r;
}

/** How wide bars may be beside a table. */
static unsigned space_for_bars(const struct table *table)
{
    size_t used = table_width(table) + 2, columns = context_columns();

    if (!isatty(STDOUT_FILENO) || columns < used + MIN_BAR_WIDTH)
        return 0;
    return columns - used < MAX_BAR_WIDTH ? (unsigned) (columns - used) : MAX_BAR_WIDTH;
}

/** The first day of which detail is kept, if a range begins before that and by is shorter. */
static bool find_horizon(const struct context *context, const struct summary *summary,
                         struct date *ret)
{
    *ret = date_add_days(date_of(now_usec(CLOCK_REALTIME)), -(int) context->retention_days);
    return context->arguments.by < RESOLUTION_DAY && date_compare(summary->range.first, *ret) < 0;
}

static int print_history(const struct context *context, uint16_t port,
                         const struct summary *summary)
{
    const struct arguments *arguments = &context->arguments;
    _cleanup_(table_freep) struct table *table = NULL, *with_bars = NULL;
    char first[DATE_STRING_SIZE], last[DATE_STRING_SIZE];
    const struct history *rows = &summary->rows;
    uint64_t now = now_usec(CLOCK_REALTIME);
    bool unfinished = false;
    struct date horizon;
    unsigned bar_width;
    int r;

    r = make_table(&table, rows, 0, now, arguments);
    if (r < 0)
        return r;
    bar_width = space_for_bars(table);
    if (bar_width && (r = make_table(&with_bars, rows, bar_width, now, arguments)) < 0)
        return r;
    for (size_t i = 0; i < rows->n; i++)
        unfinished |= now < period_end(arguments->by, rows->rows[i].start_usec);

    printf("Port %u as %s, by %s, %s to %s\n\n", port, role_to_string(arguments->role),
           resolution_to_string(arguments->by), date_format(summary->range.first, first),
           date_format(summary->range.last, last));
    if (rows->n)
        context_print_table(with_bars ?: table);
    else
        puts("No traffic.");
    if (unfinished)
        puts("\n* not over yet");
    if (find_horizon(context, summary, &horizon))
        printf("\n5 minutes and hours are kept for %" PRIu32
               " days, since %s; before, try --by day\n",
               context->retention_days, date_format(horizon, first));
    print_gaps(&summary->gaps, arguments->utc);
    return 0;
}

/* ---- CSV ---- */

static void print_csv(uint16_t port, const struct summary *summary,
                      const struct arguments *arguments)
{
    char start[FORMAT_SIZE];

    for (size_t i = 0; i < summary->rows.n; i++) {
        const struct interval *row = &summary->rows.rows[i];
        const struct traffic *t = &row->traffic;

        printf("%u,%s,%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
               ",%" PRIu64 "\n",
               port, role_to_string(arguments->role),
               format_timestamp(start, row->start_usec, arguments->utc), t->rx_bytes, t->tx_bytes,
               t->rx_packets, t->tx_packets, t->connections, t->peak_rx_rate, t->peak_tx_rate);
    }
}

static int show_history(struct context *context, uint16_t port, struct json_object *list,
                        struct reason *reason)
{
    const struct arguments *arguments = &context->arguments;
    const struct summary_request request = {.by = arguments->by};
    _cleanup_summary_ struct summary summary = {};
    int r = context_summary(context, port, &request, &summary, reason);

    if (r < 0)
        return r;
    choose_rows(&summary.rows, arguments);
    if (arguments->json)
        return json_emit(
            list, json_history(port, arguments->role, arguments->by, &summary, arguments->utc));
    if (arguments->csv) {
        print_csv(port, &summary, arguments);
        return 0;
    }
    context_begin_text(context);
    return print_history(context, port, &summary);
}

int verb_history(struct context *context)
{
    struct reason reason = {};
    int r;

    if ((r = context_connect(context, &reason)) >= 0 &&
        (r = context_use_zone(context, &reason)) >= 0) {
        if (context->arguments.csv)
            puts("port,role,start,rx_bytes,tx_bytes,rx_packets,tx_packets,connections,"
                 "peak_rx_rate,peak_tx_rate");
        r = context_show(context, show_history, &reason);
    }
    return r < 0 ? report_failure(context, &reason, r) : STATUS_DONE;
}
