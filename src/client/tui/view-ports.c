/* SPDX-License-Identifier: MIT */
/* The list of ports. */
#include "client/text.h"
#include "client/tui/columns.h"
#include "client/tui/view.h"
#include "shared/cleanup.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* In the order of enum port_column. */
static const struct list_column columns[_COLUMN_MAX] = {
    [COLUMN_PORT] = {"PORT", ALIGN_RIGHT, 5, 5, 0},
    [COLUMN_DESCRIPTION] = {"DESCRIPTION", ALIGN_LEFT, 5, 16, 3},
    [COLUMN_RX_RATE] = {"RX RATE", ALIGN_RIGHT, 13, 13, 1},
    [COLUMN_TX_RATE] = {"TX RATE", ALIGN_RIGHT, 13, 13, 2},
    [COLUMN_MINUTE] = {"MINUTE", ALIGN_LEFT, 10, MINUTE_SEC, 6},
    [COLUMN_TODAY] = {"TODAY", ALIGN_RIGHT, 11, 11, 4},
    [COLUMN_OPEN] = {"OPEN", ALIGN_RIGHT, 6, 6, 5},
};

/* The first column is for the pointer to the selected row. */
#define INDENT 1

/* Descriptions get as much room as they need, but not at the cost of all else. */
#define MAX_DESCRIPTION_WIDTH 40

static struct region list_of(const struct region *region)
{
    return region_part(region, 0, INDENT, region->rows, region->columns - INDENT);
}

static void place_columns(const struct model *model, const struct region *list,
                          struct placement *ret)
{
    struct list_column fitted[_COLUMN_MAX];
    int *width = &fitted[COLUMN_DESCRIPTION].max;

    memcpy(fitted, columns, sizeof(columns));
    for (size_t i = 0; i < model->n_ports; i++) {
        int needed = (int) text_width(model->ports[i]->description);

        if (needed > *width)
            *width = needed < MAX_DESCRIPTION_WIDTH ? needed : MAX_DESCRIPTION_WIDTH;
    }
    columns_place(fitted, _COLUMN_MAX, list->columns, ret);
}

/* ---- titles ---- */

static bool is_ascending(const struct model *model)
{
    return (model->sort == COLUMN_PORT || model->sort == COLUMN_DESCRIPTION) != model->reversed;
}

static void draw_titles(const struct model *model, const struct region *list,
                        const struct placement *placement)
{
    bool in_focus = model->focus == PANEL_PORTS;

    for (int i = 0; i < _COLUMN_MAX; i++) {
        char title[2 * sizeof(model->filter)];
        int n = snprintf(title, sizeof(title), "%s", columns[i].title);

        if (i == COLUMN_DESCRIPTION && *model->filter)
            n = snprintf(title, sizeof(title), "/%s: %zu of %zu", model->filter, model->n_shown,
                         model->n_ports);
        if (i == (int) model->sort)
            snprintf(
                title + n, sizeof(title) - (size_t) n, "%s",
                glyph_text(list->look, is_ascending(model) ? GLYPH_ASCENDING : GLYPH_DESCENDING));
        (columns[i].alignment == ALIGN_RIGHT ? region_fit_right : region_fit)(
            list, 0, placement->at[i], placement->width[i], STYLE_HEADING, title);
    }
    region_restyle(list, 0, -INDENT, list->columns + INDENT,
                   in_focus ? STYLE_FOCUS : STYLE_HEADING);
}

/* ---- rows ---- */

/**
 * The last minute, both directions together. Where a character stands for several seconds, they are
 * always the same ones, so that columns move, but do not change.
 */
static void draw_minute(const struct model *model, const struct model_port *port,
                        const struct region *list, int row, int at, int width)
{
    enum graph_style style = list->look->unicode ? GRAPH_BLOCKS : GRAPH_ASCII;
    uint64_t each = (MINUTE_SEC + (uint64_t) width - 1) / (uint64_t) width;
    uint64_t last = model_last_second(model), n = MINUTE_SEC / each;
    float values[MINUTE_SEC];
    wchar_t text[MINUTE_SEC];
    const struct graph graph = {
        .style = style,
        .rows = 1,
        .columns = (unsigned) n,
        .values = values,
        .top = port->minute_scale.top,
    };

    for (uint64_t i = 0; i < n; i++) {
        uint64_t first = (last / each + 1 + i - n) * each;

        values[i] = NAN;
        for (uint64_t second = first; second < first + each; second++)
            values[i] = fmaxf(values[i],
                              series_at(&port->series[model->role], DIRECTION_RX, second) +
                                  series_at(&port->series[model->role], DIRECTION_TX, second));
    }
    graph_row(&graph, 0, text);
    region_put_wide(list, row, at, STYLE_NORMAL, text, n);
}

static void draw_rate(const struct model *model, const struct region *list, int row, int at,
                      int width, enum style style, uint64_t rate)
{
    char text[FORMAT_SIZE];

    if (model_is_stale(model))
        region_fit_right(list, row, at, width, STYLE_DIM, "-");
    else
        region_fit_right(list, row, at, width, rate ? style : STYLE_DIM,
                         format_rate(text, rate, model->units));
}

static void draw_port(const struct model *model, const struct model_port *port,
                      const struct region *list, const struct placement *p, int row)
{
    const struct role_figures *f = &port->figures[model->role];
    uint64_t today = f->today_rx_bytes + f->today_tx_bytes;
    bool stale = model_is_stale(model);
    char text[FORMAT_SIZE];

    snprintf(text, sizeof(text), "%u", port->port);
    region_fit_right(list, row, p->at[COLUMN_PORT], p->width[COLUMN_PORT], STYLE_STRONG, text);
    region_fit(list, row, p->at[COLUMN_DESCRIPTION], p->width[COLUMN_DESCRIPTION], STYLE_NORMAL,
               port->description);
    draw_rate(model, list, row, p->at[COLUMN_RX_RATE], p->width[COLUMN_RX_RATE], STYLE_RX,
              port->rates[model->role][DIRECTION_RX]);
    draw_rate(model, list, row, p->at[COLUMN_TX_RATE], p->width[COLUMN_TX_RATE], STYLE_TX,
              port->rates[model->role][DIRECTION_TX]);
    if (p->width[COLUMN_MINUTE])
        draw_minute(model, port, list, row, p->at[COLUMN_MINUTE], p->width[COLUMN_MINUTE]);
    region_fit_right(list, row, p->at[COLUMN_TODAY], p->width[COLUMN_TODAY],
                     today && !stale ? STYLE_NORMAL : STYLE_DIM,
                     format_bytes(text, today, model->units));
    snprintf(text, sizeof(text), "%" PRIu64, f->connections);
    region_fit_right(list, row, p->at[COLUMN_OPEN], p->width[COLUMN_OPEN],
                     f->connections && !stale ? STYLE_NORMAL : STYLE_DIM, text);
}

/* ---- the view ---- */

static void settle(struct model *model, const struct region *region)
{
    model_settle(model, PANEL_PORTS, (size_t) region->rows - 1);
}

static void draw(const struct model *model, const struct region *region)
{
    struct region list = list_of(region);
    struct placement placement;

    place_columns(model, &list, &placement);
    draw_titles(model, &list, &placement);
    for (int row = 1; row < region->rows; row++) {
        size_t i = model->ports_top + (size_t) row - 1;

        if (i >= model->n_shown)
            break;
        draw_port(model, model->shown[i], &list, &placement, row);
        if (model->shown[i]->port != model->selected)
            continue;
        region_put(region, row, 0, STYLE_NORMAL, glyph_text(region->look, GLYPH_POINTER));
        region_restyle(region, row, 0, region->columns, STYLE_SELECTED);
    }
    if (!model->has_ports)
        view_say_empty(region, 1, "Asking portmond ...");
    else if (!model->n_ports)
        view_say_empty(region, 1, "No port is watched; press a to add one");
    else if (!model->n_shown)
        view_say_empty(region, 1, "No port matches; Esc shows all");
}

static unsigned click(struct model *model, const struct region *region, int row, int column)
{
    size_t i = model->ports_top + (size_t) row - 1;
    struct region list = list_of(region);
    struct placement placement;
    int found;

    if (row == 0) {
        place_columns(model, &list, &placement);
        found = columns_find(&placement, _COLUMN_MAX, column - INDENT);
        return found < 0 ? 0 : model_sort(model, (enum port_column) found);
    }
    return i < model->n_shown ? model_select(model, model->shown[i]->port) : 0;
}

const struct view view_ports = {settle, draw, click};
