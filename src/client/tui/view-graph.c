/* SPDX-License-Identifier: MIT */
/* The rates of the selected port, second by second: what is received above the axis, what is sent
 * below it. */
#include "client/tui/view.h"
#include "shared/cleanup.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* For labels like "500 KiB/s" and a blank. A narrow graph has its labels in itself. */
#define GUTTER       10
#define NARROW       60
#define TICK_SECONDS 60

/** Where the parts of the graph are; rows are those of the region. */
struct parts {
    int left; /* the first column of the graph */
    int columns;
    int up; /* rows above the axis, below the title */
    int axis;
    int down;
};

static struct parts parts_of(const struct region *region)
{
    int left = region->columns < NARROW ? 0 : GUTTER, rows = region->rows - 2;

    return (struct parts){
        .left = left,
        .columns = region->columns - left,
        .up = (rows + 1) / 2,
        .axis = 1 + (rows + 1) / 2,
        .down = rows / 2,
    };
}

static enum graph_style style_of(const struct region *region)
{
    return region->look->unicode ? GRAPH_BRAILLE : GRAPH_ASCII;
}

static size_t seconds_of(const struct region *region)
{
    size_t n = (size_t) parts_of(region).columns * graph_density(style_of(region));

    return n < SERIES_SECONDS ? n : SERIES_SECONDS;
}

static void draw_title(const struct model *model, const struct model_port *port,
                       const struct region *region)
{
    static const struct {
        enum glyph glyph;
        enum style style;
    } looks[_DIRECTION_MAX] = {
        [DIRECTION_RX] = {GLYPH_RECEIVED, STYLE_RX},
        [DIRECTION_TX] = {GLYPH_SENT, STYLE_TX},
    };
    struct region title = *region;
    char text[MAX_DESCRIPTION_BYTES + FORMAT_SIZE], rate[FORMAT_SIZE];
    int column;

    /* The rates have their place at the right, whatever the description. */
    title.columns = region->columns - 34 > 12 ? region->columns - 34 : region->columns;
    snprintf(text, sizeof(text), "%u%s%s", port->port, *port->description ? " " : "",
             port->description);
    region_title(region, false, "");
    region_title(&title, model->focus == PANEL_GRAPH, text);
    for (enum direction d = 0; d < _DIRECTION_MAX; d++) {
        column = region->columns - 33 + 16 * (int) d;
        if (title.columns == region->columns)
            break;
        column = region_printf(region, 0, column, looks[d].style, " %s",
                               glyph_text(region->look, looks[d].glyph));
        if (model_is_stale(model))
            snprintf(rate, sizeof(rate), "-");
        else
            format_rate(rate, port->rates[model->role][d], model->units);
        region_printf(region, 0, column, looks[d].style, "%13s ", rate);
    }
}

static void draw_half(const struct model *model, const struct model_port *port,
                      const struct region *region, enum direction direction)
{
    const struct parts parts = parts_of(region);
    enum graph_style style = style_of(region);
    size_t density = graph_density(style), seconds = seconds_of(region);
    float values[SERIES_SECONDS];
    wchar_t text[SERIES_SECONDS];
    const struct graph graph = {
        .style = style,
        .growth = direction == DIRECTION_RX ? GRAPH_UP : GRAPH_DOWN,
        .rows = (unsigned) (direction == DIRECTION_RX ? parts.up : parts.down),
        .columns = (unsigned) (seconds / density),
        .values = values,
        .top = model->scales[direction].top,
    };

    series_copy(&port->series[model->role], direction, model_last_second(model), values, seconds);
    for (unsigned row = 0; row < graph.rows; row++) {
        graph_row(&graph, row, text);
        region_put_wide(region,
                        direction == DIRECTION_RX ? parts.axis - 1 - (int) row
                                                  : parts.axis + 1 + (int) row,
                        region->columns - (int) graph.columns,
                        direction == DIRECTION_RX ? STYLE_RX : STYLE_TX, text, graph.columns);
    }
}

/** The axis, broken where nothing is known, with a mark every minute. */
static void draw_axis(const struct model *model, const struct model_port *port,
                      const struct region *region)
{
    const struct parts parts = parts_of(region);
    uint64_t last = model_last_second(model), density = graph_density(style_of(region));

    for (int i = 0; i < parts.columns; i++) {
        uint64_t age = (uint64_t) i * density;
        bool known = age <= last &&
                     !isnan(series_at(&port->series[model->role], DIRECTION_RX, last - age));
        enum glyph glyph = age && age % TICK_SECONDS == 0 ? GLYPH_TICK : GLYPH_RULE;

        if (known)
            region_repeat(region, parts.axis, region->columns - 1 - i, 1, STYLE_RULE,
                          glyph_character(region->look, glyph));
    }
}

static void draw_ages(const struct region *region)
{
    const struct parts parts = parts_of(region);
    int density = (int) graph_density(style_of(region)), column;

    for (int minute = 1;
         (column = region->columns - 1 - minute * TICK_SECONDS / density) > parts.left + 8;
         minute++)
        region_printf(region, parts.axis, column - 7, STYLE_DIM, "-%d min", minute);
}

static void draw_labels(const struct model *model, const struct region *region)
{
    const struct parts parts = parts_of(region);
    char text[FORMAT_SIZE];
    const int rows[_DIRECTION_MAX] = {1, region->rows - 1};

    for (enum direction d = 0; d < _DIRECTION_MAX; d++) {
        if (d == DIRECTION_TX && !parts.down)
            continue;
        graph_format_round(text, model->scales[d].top, model->units);
        region_fit_right(region, rows[d], 0, GUTTER - 1, STYLE_DIM, text);
    }
    if (parts.left)
        region_fit_right(region, parts.axis, 0, GUTTER - 1, STYLE_DIM, "0");
}

static void settle(struct model *model, const struct region *region)
{
    model_settle_scales(model, seconds_of(region));
}

static void draw(const struct model *model, const struct region *region)
{
    const struct model_port *port = model_selected(model);

    if (!port) {
        region_title(region, model->focus == PANEL_GRAPH, "rates");
        return;
    }
    draw_title(model, port, region);
    draw_half(model, port, region, DIRECTION_RX);
    draw_half(model, port, region, DIRECTION_TX);
    draw_axis(model, port, region);
    draw_ages(region);
    draw_labels(model, region);
}

const struct view view_graph = {.settle = settle, .draw = draw};
