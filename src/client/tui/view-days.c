/* SPDX-License-Identifier: MIT */
/* A bar for each day of the range, or for each hour of a single day; the newest is the first. */
#include "client/tui/view.h"
#include "shared/cleanup.h"
#include "shared/time-util.h"

#include <stdio.h>
#include <time.h>

#define AMOUNT_WIDTH 11
#define WIDE_LABELS  48 /* from here on days have names and years */

static void label(const struct model *model, const struct bar *bar, const struct region *region,
                  char buffer[static FORMAT_SIZE])
{
    bool hours = model->summary_of.by == RESOLUTION_HOUR;
    time_t sec = (time_t) (bar->start_usec / USEC_PER_SEC);
    struct tm tm;

    localtime_r(&sec, &tm);
    strftime(buffer, FORMAT_SIZE,
             hours                           ? "%H:%M"
             : region->columns < WIDE_LABELS ? "%m-%d"
                                             : "%a %F",
             &tm);
}

/** Draws @length eighths of a cell; returns how many cells they take. */
static int draw_part(const struct region *region, int row, int column, enum style style,
                     wchar_t full, int eighths)
{
    static const wchar_t parts[] = L" ▏▎▍▌▋▊▉";
    int cells = eighths / 8, rest = eighths % 8;

    region_repeat(region, row, column, cells, style, full);
    if (!rest)
        return cells;
    if (region->look->unicode && full == L'█')
        region_repeat(region, row, column + cells, 1, style, parts[rest]);
    else
        region_repeat(region, row, column + cells, 1, style, full);
    return cells + 1;
}

/** What was received and what was sent, one behind the other, to the scale of the highest sum. */
static void draw_bar(const struct traffic *traffic, const struct region *region, int row,
                     int column, int width, uint64_t highest)
{
    const struct look *look = region->look;
    wchar_t received = look->unicode ? L'█' : L'#';
    /* Where both have one colour they must differ in shape. */
    wchar_t sent = !look->unicode ? L'=' : look->color ? L'█' : L'▒';
    double scale = highest ? (double) width / (double) highest : 0;
    int end = (int) ((double) traffic->rx_bytes * scale + 0.5);
    int all = (int) ((double) (traffic->rx_bytes + traffic->tx_bytes) * scale * 8 + 0.5);

    if (traffic->tx_bytes == 0) {
        draw_part(region, row, column, STYLE_RX, received, all ?: traffic->rx_bytes > 0);
        return;
    }
    region_repeat(region, row, column, end, STYLE_RX, received);
    draw_part(region, row, column + end, STYLE_TX, sent, all > end * 8 ? all - end * 8 : 1);
}

static uint64_t highest_of(const struct model *model)
{
    uint64_t highest = 0, sum;

    for (size_t i = 0; i < model->n_bars; i++) {
        sum = model->bars[i].traffic.rx_bytes + model->bars[i].traffic.tx_bytes;
        highest = sum > highest ? sum : highest;
    }
    return highest;
}

static void draw_row(const struct model *model, const struct bar *bar, const struct region *region,
                     int row, uint64_t highest)
{
    uint64_t sum = bar->traffic.rx_bytes + bar->traffic.tx_bytes;
    bool unfinished = model_bar_is_unfinished(model, bar);
    char text[FORMAT_SIZE];
    int column;

    label(model, bar, region, text);
    column = region_put(region, row, 1, unfinished ? STYLE_STRONG : STYLE_DIM, text);
    region_put(region, row, column, STYLE_STRONG, unfinished ? "*" : " ");
    column += 2;
    draw_bar(&bar->traffic, region, row, column, region->columns - column - AMOUNT_WIDTH - 1,
             highest);
    region_fit_right(region, row, region->columns - AMOUNT_WIDTH, AMOUNT_WIDTH,
                     sum ? STYLE_NORMAL : STYLE_DIM, format_bytes(text, sum, model->units));
}

static void settle(struct model *model, const struct region *region)
{
    model_settle(model, PANEL_DAYS, (size_t) region->rows - 1);
}

static void draw(const struct model *model, const struct region *region)
{
    struct wanted wanted;
    uint64_t highest = highest_of(model);
    size_t rows = (size_t) region->rows - 1;
    int after;

    model_wanted(model, &wanted);
    after = region_title(region, model->focus == PANEL_DAYS,
                         wanted.query.by == RESOLUTION_HOUR ? "hours" : "days");
    if (!model->has_summary)
        return;
    view_show_place(region, after, model->bars_top, rows, model->n_bars);
    for (size_t i = 0; i < rows && model->bars_top + i < model->n_bars; i++)
        draw_row(model, &model->bars[model->bars_top + i], region, (int) i + 1, highest);
    if (!model->n_bars)
        view_say_empty(region, 1, "Not begun yet");
}

const struct view view_days = {.settle = settle, .draw = draw};
