/* SPDX-License-Identifier: MIT */
#include "client/model.h"

#include "client/model-internal.h"
#include "shared/calendar.h"
#include "shared/time-util.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* How long a message stays: enough to read two lines. */
#define MESSAGE_USEC (10 * USEC_PER_SEC)

/* An answer may come this much later than the one before it until that is remarked on. */
#define PATIENCE_USEC (3 * USEC_PER_SEC)

bool query_equal(const struct query *a, const struct query *b)
{
    return a->port == b->port && a->role == b->role && a->from_usec == b->from_usec &&
           a->until_usec == b->until_usec && a->by == b->by && a->percentile == b->percentile;
}

bool wanted_equal(const struct wanted *a, const struct wanted *b)
{
    return query_equal(&a->query, &b->query) && a->interval_sec == b->interval_sec &&
           a->refreshes == b->refreshes && a->summary == b->summary &&
           a->connections == b->connections;
}

void model_init(struct model *model, const struct model_options *options, const struct moment *now)
{
    *model = (struct model){
        .host = options->host,
        .units = options->units,
        .way = "",
        .now = *now,
        .phase_usec = (now->wall_usec - now->steady_usec) % USEC_PER_SEC,
        .wanted_port = options->port,
        .role = options->role,
        .interval_sec = options->interval_sec,
        .range_request = {.kind = RANGE_THIS_MONTH},
    };
    model->range = range_resolve(&model->range_request, 0, date_of(now->wall_usec));
}

/* ---- the selected port ---- */

static void forget_summary(struct model *model)
{
    summary_clear(&model->summary);
    free(model->bars);
    model->summary = (struct summary){};
    model->summary_reason = (struct reason){};
    model->has_summary = false;
    model->bars = NULL;
    model->n_bars = model->bars_top = 0;
}

static void forget_connections(struct model *model)
{
    connection_list_clear(&model->connections);
    model->connections_reason = (struct reason){};
    model->connections_of = 0;
    model->connections_top = 0;
}

void model_forget_details(struct model *model)
{
    forget_summary(model);
    forget_connections(model);
}

void model_clear(struct model *model)
{
    model_forget_details(model);
    model_clear_ports(model);
    service_status_clear(&model->status);
}

/** The intervals that the range is divided into: those of a single day are its hours. */
static enum resolution resolution_of(const struct range *range)
{
    return date_compare(range->first, range->last) == 0 ? RESOLUTION_HOUR : RESOLUTION_DAY;
}

void model_wanted(const struct model *model, struct wanted *ret)
{
    const struct range *range = &model->range;
    struct date detail = date_add_days(date_of(model->now.wall_usec),
                                       -(int) model->status.retention_days);

    ret->interval_sec = model->interval_sec;
    ret->refreshes = model->refreshes;
    ret->query = (struct query){
        .port = model->selected,
        .role = model->role,
        .from_usec = range->from_usec,
        .until_usec = range->until_usec,
        .by = resolution_of(range),
        .percentile = date_compare(range->first, detail) >= 0,
    };
}

/** Lists the periods of the range that have begun, the newest first, with what was in each. */
static void list_bars(struct model *model)
{
    const struct history *rows = &model->summary.rows;
    const struct range *range = &model->range;
    enum resolution by = model->summary_of.by;
    uint64_t end = period_end(by, model->now.wall_usec), start;
    size_t row = rows->n, n = 0;
    struct bar *bars;

    if (end > range->until_usec)
        end = range->until_usec;
    for (uint64_t at = end; at > range->from_usec && n < MAX_BARS; n++)
        at = period_start(by, at - 1);
    bars = calloc(n ?: 1, sizeof(*bars));
    free(model->bars);
    model->bars = bars;
    model->n_bars = bars ? n : 0;
    for (size_t i = 0; i < model->n_bars; i++, end = start) {
        bars[i].start_usec = start = period_start(by, end - 1);
        for (; row > 0 && rows->rows[row - 1].start_usec >= start; row--)
            traffic_add(&bars[i].traffic, &rows->rows[row - 1].traffic);
    }
}

bool model_bar_is_unfinished(const struct model *model, const struct bar *bar)
{
    uint64_t now = model->now.wall_usec;

    return bar->start_usec <= now && period_end(model->summary_of.by, bar->start_usec) > now;
}

unsigned model_take_summary(struct model *model, const struct query *query, struct summary *summary,
                            const struct reason *refused)
{
    struct wanted wanted;
    size_t top = model->bars_top;

    model_wanted(model, &wanted);
    if (!query_equal(query, &wanted.query)) /* the answer to a question of before */
        return 0;
    forget_summary(model);
    model->bars_top = top;
    model->summary_of = *query;
    if (refused) {
        model->summary_reason = *refused;
        return EFFECT_REDRAW;
    }
    model->summary = *summary;
    *summary = (struct summary){};
    model->summary.range = model->range;
    model->has_summary = true;
    list_bars(model);
    return EFFECT_REDRAW;
}

unsigned model_take_connections(struct model *model, uint16_t port, struct connection_list *list,
                                const struct reason *refused)
{
    size_t top = model->connections_top;

    if (port != model->selected)
        return 0;
    forget_connections(model);
    model->connections_top = top;
    model->connections_of = port;
    if (refused) {
        model->connections_reason = *refused;
        return EFFECT_REDRAW;
    }
    model->connections = *list;
    *list = (struct connection_list){};
    connection_list_keep(&model->connections, model->role);
    return EFFECT_REDRAW;
}

/* ---- portmond ---- */

unsigned model_take_status(struct model *model, struct service_status *status, const char *way)
{
    service_status_clear(&model->status);
    model->status = *status;
    *status = (struct service_status){};
    model->way = way;
    model->link = LINK_UP;
    return EFFECT_REDRAW | EFFECT_REFETCH;
}

unsigned model_take_loss(struct model *model, const struct reason *reason)
{
    if (model->link == LINK_UP)
        model->lost_usec = model->now.steady_usec;
    model->link = LINK_LOST;
    model->lost_reason = *reason;
    for (size_t i = 0; i < model->n_ports; i++)
        model->ports[i]->sampled_usec = 0;
    return EFFECT_REDRAW;
}

uint64_t model_silence_usec(const struct model *model)
{
    uint64_t pause = model->interval_sec * USEC_PER_SEC, expected;

    /* A slow link is no reason to worry, as long as it is as slow as ever. */
    if (model->pause_usec > pause)
        pause = model->pause_usec;
    expected = model->sampled_usec + pause + PATIENCE_USEC;
    if (!model->sampled_usec || model->now.steady_usec <= expected)
        return 0;
    return model->now.steady_usec - model->sampled_usec;
}

bool model_is_stale(const struct model *model)
{
    return model->link == LINK_LOST || model_silence_usec(model);
}

uint64_t model_last_second(const struct model *model)
{
    uint64_t usec = model_is_stale(model) ? model->now.steady_usec : model->sampled_usec;

    return (usec + model->phase_usec) / USEC_PER_SEC - 1;
}

/* ---- time ---- */

unsigned model_tick(struct model *model, const struct moment *now)
{
    struct range range;
    struct date today;

    model->now = *now;
    if (model->message.until_usec && now->steady_usec >= model->message.until_usec)
        model->message = (struct message){};
    today = date_of(now->wall_usec);
    range = range_resolve(&model->range_request, 0, today);
    if (memcmp(&range, &model->range, sizeof(range)) == 0)
        return 0;
    model->range = range;
    forget_summary(model);
    return EFFECT_REFETCH | EFFECT_REDRAW;
}

unsigned model_say(struct model *model, bool is_failure, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(model->message.text, sizeof(model->message.text), format, arguments);
    va_end(arguments);
    model->message.is_failure = is_failure;
    model->message.until_usec = model->now.steady_usec + MESSAGE_USEC;
    return EFFECT_REDRAW;
}

unsigned model_take_result(struct model *model, bool is_failure, const char *text)
{
    if (is_failure)
        model->wanted_port = 0;
    return model_say(model, is_failure, "%s", text) | EFFECT_REFETCH;
}

/* ---- what the user does ---- */

unsigned model_set_range(struct model *model, const struct range_request *request)
{
    model->range_request = *request;
    model->range = range_resolve(request, 0, date_of(model->now.wall_usec));
    forget_summary(model);
    return EFFECT_REDRAW | EFFECT_REFETCH;
}

unsigned model_set_role(struct model *model, enum role role)
{
    model->role = role;
    model_forget_details(model);
    model_order(model);
    return EFFECT_REDRAW | EFFECT_REFETCH;
}

unsigned model_set_interval(struct model *model, int interval_sec)
{
    int limited = interval_sec < 1                      ? 1
                  : interval_sec > MAX_TUI_INTERVAL_SEC ? MAX_TUI_INTERVAL_SEC
                                                        : interval_sec;

    model->interval_sec = (unsigned) limited;
    return model_say(model, false, "A sample every %d s", limited) | EFFECT_REFETCH;
}

unsigned model_refresh(struct model *model)
{
    model->refreshes++;
    model->message = (struct message){};
    return EFFECT_REDRAW | EFFECT_REFETCH;
}

unsigned model_focus(struct model *model, enum panel panel)
{
    model->focus = panel;
    return EFFECT_REDRAW | EFFECT_REFETCH; /* it may come into view */
}

unsigned model_focus_step(struct model *model, int steps)
{
    return model_focus(model, (enum panel)(((int) model->focus + steps + _PANEL_MAX) % _PANEL_MAX));
}

/* ---- scrolling ---- */

/** The first row of what a panel scrolls, and how many rows there are; NULL if it does not. */
static size_t *scrolled(struct model *model, enum panel panel, size_t *ret_n)
{
    switch (panel) {
    case PANEL_PORTS:
        *ret_n = model->n_shown;
        return &model->ports_top;
    case PANEL_DAYS:
        *ret_n = model->n_bars;
        return &model->bars_top;
    case PANEL_CONNECTIONS:
        *ret_n = model->connections.n;
        return &model->connections_top;
    default:
        return NULL;
    }
}

unsigned model_scroll(struct model *model, enum panel panel, int rows)
{
    size_t n, back = (size_t) -rows, *top = scrolled(model, panel, &n);

    if (panel == PANEL_PORTS || !top) /* its rows follow the selection */
        return model_step(model, rows);
    if (rows >= 0)
        *top += (size_t) rows;
    else
        *top -= *top < back ? *top : back;
    return EFFECT_REDRAW;
}

unsigned model_move(struct model *model, int rows)
{
    return model_scroll(model, model->focus, rows);
}

void model_settle(struct model *model, enum panel panel, size_t rows)
{
    size_t n, *top = scrolled(model, panel, &n);

    if (!top)
        return;
    if (panel == PANEL_PORTS && model->selected_row < *top)
        *top = model->selected_row;
    if (panel == PANEL_PORTS && model->selected_row >= *top + rows)
        *top = model->selected_row + 1 - rows;
    if (*top + rows > n)
        *top = n > rows ? n - rows : 0;
}

void model_settle_scales(struct model *model, size_t seconds)
{
    const struct model_port *port = model_selected(model);
    uint64_t last = model_last_second(model);
    float rates[SERIES_SECONDS];

    if (!port)
        return;
    if (model->scaled_port != port->port || model->scaled_role != model->role) {
        memset(model->scales, 0, sizeof(model->scales));
        model->scaled_port = port->port;
        model->scaled_role = model->role;
    } else if (model->scaled_second == last)
        return;
    model->scaled_second = last;
    if (seconds > SERIES_SECONDS)
        seconds = SERIES_SECONDS;
    for (enum direction d = 0; d < _DIRECTION_MAX; d++) {
        series_copy(&port->series[model->role], d, last, rates, seconds);
        graph_scale_follow(&model->scales[d], (uint64_t) ceilf(series_highest(rates, seconds)),
                           model->units);
    }
}
