/* SPDX-License-Identifier: MIT */
/* What the selected port transferred in the range. */
#include "client/text.h"
#include "client/tui/view.h"
#include "shared/cleanup.h"
#include "shared/time-util.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* Columns of the panel: labels, what was received, sent, and both together. */
#define LABEL_WIDTH  8
#define FIGURE_WIDTH 13 /* "1023.99 KiB/s" */
#define SUM_WIDTH    11

/* Without room for the third, sums stand in rows of their own. */
#define WITH_SUMS (1 + LABEL_WIDTH + 2 * (1 + FIGURE_WIDTH) + 1 + SUM_WIDTH)

#define FIGURES_AT (1 + LABEL_WIDTH + 1)

typedef const char *(*format_figure)(char *buffer, uint64_t figure, enum unit_system units);

/** Where the next row goes. */
struct page {
    const struct model *model;
    const struct region *region;
    bool with_sums;
    int row;
};

static void put_figure(const struct page *page, int column, enum style style, const char *text)
{
    region_fit_right(page->region, page->row, FIGURES_AT + column * (1 + FIGURE_WIDTH),
                     column < 2 ? FIGURE_WIDTH : SUM_WIDTH, style, text);
}

static void put_row(struct page *page, const char *label, uint64_t rx, uint64_t tx,
                    format_figure format)
{
    enum unit_system units = page->model->units;
    char text[FORMAT_SIZE];

    region_put(page->region, page->row, 1, STYLE_DIM, label);
    put_figure(page, 0, rx ? STYLE_RX : STYLE_DIM, format(text, rx, units));
    put_figure(page, 1, tx ? STYLE_TX : STYLE_DIM, format(text, tx, units));
    page->row++;
}

/** A row of amounts, which have a sum, if there is room for it. */
static void put_amounts(struct page *page, const char *label, uint64_t rx, uint64_t tx)
{
    char text[FORMAT_SIZE];

    if (page->with_sums)
        put_figure(page, 2, rx + tx ? STYLE_STRONG : STYLE_DIM,
                   format_bytes(text, rx + tx, page->model->units));
    put_row(page, label, rx, tx, format_bytes);
}

/** A row for what would stand in the third column. */
static void put_third(struct page *page, enum style style, const char *label, const char *text)
{
    if (page->with_sums)
        return;
    region_put(page->region, page->row, 1, STYLE_DIM, label);
    put_figure(page, 1, style, text);
    page->row++;
}

static void put_headings(struct page *page)
{
    static const char *const headings[] = {"RECEIVED", "SENT", "TOTAL"};

    for (int i = 0; i < 2 + page->with_sums; i++)
        put_figure(page, i, STYLE_HEADING, headings[i]);
    page->row++;
}

static void put_percentile(struct page *page)
{
    const struct percentile *percentile = &page->model->summary.percentile;
    char text[FORMAT_SIZE];

    if (!percentile->n_intervals)
        return;
    snprintf(text, sizeof(text), "of %zu", percentile->n_intervals);
    if (page->with_sums)
        put_figure(page, 2, STYLE_DIM, text);
    put_row(page, "95th", percentile->rx_rate, percentile->tx_rate, format_rate);
}

static void put_opened(struct page *page)
{
    uint64_t n = page->model->summary.total.connections;

    region_put(page->region, page->row, 1, STYLE_DIM, "opened");
    region_printf(page->region, page->row++, FIGURES_AT, n ? STYLE_NORMAL : STYLE_DIM,
                  "%" PRIu64 " connection%s", n, n == 1 ? "" : "s");
}

/* ---- gaps ---- */

/** "11-23 17:08:05" */
static const char *short_time(char buffer[static FORMAT_SIZE], uint64_t usec, const char *format)
{
    time_t sec = (time_t) (usec / USEC_PER_SEC);
    struct tm tm;

    localtime_r(&sec, &tm);
    strftime(buffer, FORMAT_SIZE, format, &tm);
    return buffer;
}

/** The last row: it takes all the room that is left. */
static void put_gaps(const struct page *page)
{
    const struct gap_list *gaps = &page->model->summary.gaps;
    const struct gap *last = gaps->n ? &gaps->gaps[gaps->n - 1] : NULL;
    const struct region *region = page->region;
    char from[FORMAT_SIZE], until[FORMAT_SIZE], text[4 * FORMAT_SIZE];
    bool one_day;

    region_put(region, page->row, 1, STYLE_DIM, "gaps");
    if (!last) {
        region_put(region, page->row, FIGURES_AT, STYLE_DIM, "none");
        return;
    }
    one_day = date_compare(date_of(last->from_usec), date_of(last->until_usec)) == 0;
    snprintf(text, sizeof(text), "%zu%s %s to %s: %s", gaps->n, gaps->n > 1 ? ", the last" : ":",
             short_time(from, last->from_usec, "%m-%d %T"),
             short_time(until, last->until_usec, one_day ? "%T" : "%m-%d %T"),
             gap_reason_explain(last->reason));
    region_wrap(region, page->row, FIGURES_AT, region->columns - FIGURES_AT - 1,
                region->rows - page->row, STYLE_WARNING, text);
}

/* ---- the range ---- */

static void name_range(const struct model *model, char *buffer, size_t size)
{
    static const char *const names[] = {
        [RANGE_NONE] = "",
        [RANGE_TODAY] = "today",
        [RANGE_THIS_MONTH] = "this month",
        [RANGE_LAST_7_DAYS] = "last 7 days",
        [RANGE_LAST_30_DAYS] = "last 30 days",
        [RANGE_CYCLE] = "cycle",
        [RANGE_DATES] = "dates",
    };
    int n = snprintf(buffer, size, "%s", names[model->range_request.kind]);

    if (model->range_request.kind == RANGE_CYCLE)
        snprintf(buffer + n, size - (size_t) n, " from day %d", model->range_request.cycle_day);
}

/** The days of the range at the right of the title, in full if there is room. */
static void put_days(const struct model *model, const struct region *region, int after)
{
    const struct range *range = &model->range;
    char first[DATE_STRING_SIZE], last[DATE_STRING_SIZE], text[64];
    const char *from = date_format(range->first, first), *until = date_format(range->last, last);

    for (int skip = 0; skip <= 5; skip += 5) { /* without the year */
        const char *dash = glyph_text(region->look, GLYPH_DASH);
        bool one_day = date_compare(range->first, range->last) == 0;
        int width;

        snprintf(text, sizeof(text), one_day ? " %s " : " %s %s %s ", from + skip, dash,
                 until + skip);
        width = (int) text_width(text);
        if (after + width < region->columns - 1) {
            region_put(region, 0, region->columns - 2 - width, STYLE_DIM, text);
            return;
        }
    }
}

static void draw_title(const struct model *model, const struct region *region)
{
    char name[64], title[128];

    name_range(model, name, sizeof(name));
    view_name_port(model, title, sizeof(title), name);
    put_days(model, region, region_title(region, model->focus == PANEL_SUMMARY, title));
}

/* ---- the view ---- */

static void draw(const struct model *model, const struct region *region)
{
    const struct summary *summary = &model->summary;
    const struct traffic *total = &summary->total;
    struct page page = {model, region, region->columns >= WITH_SUMS, 1};
    char text[FORMAT_SIZE];

    draw_title(model, region);
    if (*model->summary_reason.text) {
        region_wrap(region, 1, 1, region->columns - 2, region->rows - 1, STYLE_WARNING,
                    model->summary_reason.text);
        return;
    }
    if (!model->has_summary)
        return;
    put_headings(&page);
    put_amounts(&page, "total", total->rx_bytes, total->tx_bytes);
    put_third(&page, STYLE_STRONG, "  sum",
              format_bytes(text, total->rx_bytes + total->tx_bytes, model->units));
    if (summary->unfinished)
        put_amounts(&page, "estimate", summary->estimated_rx, summary->estimated_tx);
    put_row(&page, "peak", total->peak_rx_rate, total->peak_tx_rate, format_rate);
    put_percentile(&page);
    snprintf(text, sizeof(text), "%zu", summary->percentile.n_intervals);
    put_third(&page, STYLE_DIM, "95th of", text);
    put_opened(&page);
    put_gaps(&page);
}

const struct view view_summary = {.draw = draw};
