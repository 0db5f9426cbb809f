/* SPDX-License-Identifier: MIT */
/* The ports of the dashboard: their figures, their order, and which one is selected. */
#include "client/model-internal.h"
#include "client/text.h"
#include "shared/time-util.h"

#include <math.h>
#include <string.h>

/* ---- order ---- */

static uint64_t today_bytes(const struct model_port *port, enum role role)
{
    return port->figures[role].today_rx_bytes + port->figures[role].today_tx_bytes;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_port(const struct model_port *a, const struct model_port *b, enum role role)
{
    return compare_numbers(a->port, b->port);
}

static int by_description(const struct model_port *a, const struct model_port *b, enum role role)
{
    return text_compare(a->description, b->description);
}

static int by_rx_rate(const struct model_port *a, const struct model_port *b, enum role role)
{
    return compare_numbers(b->rates[role][DIRECTION_RX], a->rates[role][DIRECTION_RX]);
}

static int by_tx_rate(const struct model_port *a, const struct model_port *b, enum role role)
{
    return compare_numbers(b->rates[role][DIRECTION_TX], a->rates[role][DIRECTION_TX]);
}

static int by_minute(const struct model_port *a, const struct model_port *b, enum role role)
{
    return compare_numbers(b->minute_bytes[role], a->minute_bytes[role]);
}

static int by_today(const struct model_port *a, const struct model_port *b, enum role role)
{
    return compare_numbers(today_bytes(b, role), today_bytes(a, role));
}

static int by_open(const struct model_port *a, const struct model_port *b, enum role role)
{
    return compare_numbers(b->figures[role].connections, a->figures[role].connections);
}

/* What people look for comes first: low numbers, but high figures. */
static int (*const orders[_COLUMN_MAX])(const struct model_port *a, const struct model_port *b,
                                        enum role role) = {
    [COLUMN_PORT] = by_port,       [COLUMN_DESCRIPTION] = by_description,
    [COLUMN_RX_RATE] = by_rx_rate, [COLUMN_TX_RATE] = by_tx_rate,
    [COLUMN_MINUTE] = by_minute,   [COLUMN_TODAY] = by_today,
    [COLUMN_OPEN] = by_open,
};

static int compare_ports(const void *a, const void *b, void *userdata)
{
    const struct model_port *x = *(struct model_port *const *) a;
    const struct model_port *y = *(struct model_port *const *) b;
    const struct model *model = userdata;
    int order = orders[model->sort](x, y, model->role);

    if (order)
        return model->reversed ? -order : order;
    return by_port(x, y, model->role); /* so that equal ones stay where they are */
}

static bool passes(const struct model *model, const struct model_port *port)
{
    char number[sizeof("65535")];

    snprintf(number, sizeof(number), "%u", port->port);
    return text_contains(number, model->filter) || text_contains(port->description, model->filter);
}

/* ---- selection ---- */

struct model_port *model_selected(const struct model *model)
{
    size_t low = 0, high = model->n_ports;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (model->ports[middle]->port == model->selected)
            return model->ports[middle];
        if (model->ports[middle]->port < model->selected)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/** Whether the selected port is in the list; remembers where. */
static bool find_selected(struct model *model)
{
    for (size_t i = 0; i < model->n_shown; i++)
        if (model->shown[i]->port == model->selected) {
            model->selected_row = i;
            return true;
        }
    return false;
}

unsigned model_select(struct model *model, uint16_t port)
{
    if (port == model->selected)
        return EFFECT_REDRAW;
    model->selected = port;
    model_forget_details(model);
    find_selected(model);
    return EFFECT_REDRAW | EFFECT_REFETCH;
}

unsigned model_step(struct model *model, int rows)
{
    size_t row = model->selected_row, last, back = (size_t) -rows;

    if (!model->n_shown)
        return 0;
    last = model->n_shown - 1;
    if (rows < 0)
        row -= row < back ? row : back;
    else
        row = last - row < (size_t) rows ? last : row + (size_t) rows;
    return model_select(model, model->shown[row]->port);
}

void model_order(struct model *model)
{
    model->n_shown = 0;
    for (size_t i = 0; i < model->n_ports; i++)
        if (passes(model, model->ports[i]))
            model->shown[model->n_shown++] = model->ports[i];
    if (model->n_shown)
        qsort_r(model->shown, model->n_shown, sizeof(struct model_port *), compare_ports, model);
    if (find_selected(model))
        return;
    if (model->n_shown) { /* the one that took its place */
        if (model->selected_row >= model->n_shown)
            model->selected_row = model->n_shown - 1;
        model_select(model, model->shown[model->selected_row]->port);
    } else if (!model_selected(model)) /* else one that is only filtered out stays */
        model_select(model, 0);
}

unsigned model_sort(struct model *model, enum port_column column)
{
    model->reversed = column == model->sort && !model->reversed;
    model->sort = column;
    model_order(model);
    return EFFECT_REDRAW;
}

unsigned model_set_filter(struct model *model, const char *filter)
{
    snprintf(model->filter, sizeof(model->filter), "%s", filter);
    model_order(model);
    return EFFECT_REDRAW | EFFECT_REFETCH;
}

/* ---- figures ---- */

static struct model_port *port_free(struct model_port *port)
{
    if (!port)
        return NULL;
    free(port->description);
    free(port);
    return NULL;
}

void model_clear_ports(struct model *model)
{
    for (size_t i = 0; i < model->n_ports; i++)
        port_free(model->ports[i]);
    free(model->ports);
    free(model->shown);
    model->ports = model->shown = NULL;
    model->n_ports = model->n_shown = 0;
}

/** Adds what was transferred since the sample before to the series of a role. */
static void follow(struct model *model, struct model_port *port, enum role role,
                   const struct role_figures *now, uint64_t sampled_usec)
{
    const struct role_figures *old = &port->figures[role];
    const uint64_t bytes[] = {now->rx_bytes - old->rx_bytes, now->tx_bytes - old->tx_bytes};
    const uint64_t told[] = {now->rx_rate, now->tx_rate};
    struct series *series = &port->series[role];
    uint64_t last = (sampled_usec + model->phase_usec) / USEC_PER_SEC - 1;
    float rate, minute[MINUTE_SEC], sum = 0;

    /* A portmond that crashed may have forgotten the last seconds. */
    if (port->sampled_usec && now->rx_bytes >= old->rx_bytes && now->tx_bytes >= old->tx_bytes)
        series_add(series, port->sampled_usec + model->phase_usec, sampled_usec + model->phase_usec,
                   bytes);
    for (enum direction d = 0; d < _DIRECTION_MAX; d++) {
        rate = series_at(series, d, last);
        port->rates[role][d] = isnan(rate) ? told[d] : (uint64_t) lroundf(rate);
        series_copy(series, d, last, minute, MINUTE_SEC);
        for (size_t i = 0; i < MINUTE_SEC; i++)
            sum += isnan(minute[i]) ? 0 : minute[i];
    }
    port->minute_bytes[role] = (uint64_t) sum;
    port->figures[role] = *now;
}

static void follow_minute(struct model *model, struct model_port *port)
{
    uint64_t last = model_last_second(model);
    float rx, tx, highest = 0;

    for (uint64_t second = last + 1 - MINUTE_SEC; second <= last; second++) {
        rx = series_at(&port->series[model->role], DIRECTION_RX, second);
        tx = series_at(&port->series[model->role], DIRECTION_TX, second);
        highest = fmaxf(highest, rx + tx);
    }
    graph_scale_follow(&port->minute_scale, (uint64_t) highest, model->units);
}

static void update_port(struct model *model, struct model_port *port,
                        const struct port_stats *stats, uint64_t sampled_usec)
{
    uint64_t before = port->sampled_usec + model->phase_usec;
    uint64_t now = sampled_usec + model->phase_usec;

    port->present = true;
    port->cycle_day = stats->cycle_day;
    for (enum role role = 0; role < _ROLE_MAX; role++)
        follow(model, port, role, &stats->role[role], sampled_usec);
    port->sampled_usec = sampled_usec;
    if (before / USEC_PER_SEC != now / USEC_PER_SEC)
        follow_minute(model, port);
}

/** Returns @known, or a new port, with the description of @stats; NULL without memory. */
static struct model_port *describe_port(struct model_port *known, const struct port_stats *stats)
{
    struct model_port *port = known ?: calloc(1, sizeof(*port));
    char *description;

    if (!port || (known && strcmp(known->description, stats->description) == 0))
        return port;
    description = strdup(stats->description);
    if (!description)
        return known ?: port_free(port);
    free(port->description);
    port->description = description;
    port->port = stats->port;
    port->present = !known;
    return port;
}

/** Finds or makes the ports of @stats; both they and those of the model are in order. */
static bool collect_ports(struct model *model, const struct port_stats *stats, size_t n,
                          struct model_port **ports)
{
    size_t next = 0, i;

    for (i = 0; i < model->n_ports; i++)
        model->ports[i]->present = false;
    for (i = 0; i < n; i++) {
        struct model_port *known = NULL;

        while (next < model->n_ports && model->ports[next]->port < stats[i].port)
            next++;
        if (next < model->n_ports && model->ports[next]->port == stats[i].port)
            known = model->ports[next];
        ports[i] = describe_port(known, &stats[i]);
        if (!ports[i])
            break;
    }
    if (i == n)
        return true;
    while (i-- > 0)
        if (ports[i]->present)
            port_free(ports[i]);
    return false;
}

/** Puts the ports of @stats in place of those there were. Without memory, those stay. */
static bool replace_ports(struct model *model, const struct port_stats *stats, size_t n,
                          uint64_t sampled_usec)
{
    _cleanup_free_ struct model_port **ports = calloc(n + 1, sizeof(*ports));
    _cleanup_free_ struct model_port **shown = calloc(n + 1, sizeof(*shown));

    if (!ports || !shown || !collect_ports(model, stats, n, ports))
        return false;
    for (size_t i = 0; i < n; i++)
        update_port(model, ports[i], &stats[i], sampled_usec);
    for (size_t i = 0; i < model->n_ports; i++)
        if (!model->ports[i]->present)
            port_free(model->ports[i]);
    free(model->ports);
    free(model->shown);
    model->ports = TAKE_PTR(ports);
    model->shown = TAKE_PTR(shown);
    model->n_ports = n;
    model->n_shown = 0; /* until they are in order */
    return true;
}

/** Selects what was to be selected as soon as it is there. */
static unsigned select_wanted(struct model *model)
{
    uint16_t wanted = model->wanted_port;

    for (size_t i = 0; i < model->n_ports; i++)
        if (model->ports[i]->port == wanted) {
            model->wanted_port = 0;
            return model_select(model, wanted);
        }
    if (model->has_ports)
        return 0;
    model->wanted_port = 0;
    return model_say(model, true, "Port %u is not watched; press a to add it", wanted);
}

unsigned model_take_stats(struct model *model, const struct port_stats *stats, size_t n,
                          uint64_t sampled_usec)
{
    uint16_t selected = model->selected;
    unsigned effects = EFFECT_REDRAW;

    model->pause_usec = model->sampled_usec ? sampled_usec - model->sampled_usec : 0;
    model->sampled_usec = sampled_usec;
    if (!replace_ports(model, stats, n, sampled_usec))
        return effects;
    if (model->wanted_port)
        effects |= select_wanted(model);
    model->has_ports = true;
    model_order(model);
    return effects | (model->selected != selected ? EFFECT_REFETCH : 0);
}
