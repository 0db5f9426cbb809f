/* SPDX-License-Identifier: MIT */
#include "client/tui/layout.h"

#include "shared/cleanup.h"

#include <limits.h>

/* From here on summary and days stand side by side. */
#define WIDE_COLUMNS  80
#define SUMMARY_WIDTH 51

/** Panels that share their rows of the screen. */
struct band {
    enum panel left;
    enum panel right; /* the same if it stands alone */
    int min;          /* rows */
    int max;
    int weight; /* what it gets of the rows that are left, in proportion */
    int rows;
};

static bool holds(const struct band *band, enum panel panel)
{
    return band->left == panel || band->right == panel;
}

/** Gives each band its least rows: first the one in focus, then in the order of the table. */
static int choose(struct band *bands, size_t n, int rows, enum panel focus)
{
    for (size_t i = 0; i < n; i++)
        if (holds(&bands[i], focus)) {
            bands[i].rows = bands[i].min < rows ? bands[i].min : rows;
            rows -= bands[i].rows;
        }
    for (size_t i = 0; i < n; i++)
        if (!bands[i].rows && bands[i].min <= rows) {
            bands[i].rows = bands[i].min;
            rows -= bands[i].rows;
        }
    return rows;
}

/** The band that has the least for its weight, of those that can grow; NULL if none can. */
static struct band *neediest(struct band *bands, size_t n)
{
    struct band *found = NULL;

    for (struct band *band = bands; band < bands + n; band++)
        if (band->rows && band->rows < band->max &&
            (!found || band->rows * found->weight < found->rows * band->weight))
            found = band;
    return found;
}

static void place(struct layout *layout, const struct band *band, int row, int columns)
{
    int left = band->left == band->right ? columns : columns * 9 / 20;

    if (left < columns && left < SUMMARY_WIDTH)
        left = SUMMARY_WIDTH;
    layout->panels[band->left] = (struct place){row, 0, band->rows, left};
    if (left < columns)
        layout->panels[band->right] = (struct place){row, left, band->rows, columns - left};
}

void layout_divide(struct layout *ret, int rows, int columns, enum panel focus, size_t n_ports)
{
    bool wide = columns >= WIDE_COLUMNS;
    /* As many rows as ports, below their titles; a long list scrolls. */
    int list = n_ports < INT_MAX / 2 ? (int) n_ports + 1 : INT_MAX / 2;
    struct band bands[] = {
        /* in the order of who gives way last */
        {PANEL_PORTS, PANEL_PORTS, 3, list > 3 ? list : 3, 4},
        {PANEL_GRAPH, PANEL_GRAPH, 4, INT_MAX, 4},
        {PANEL_SUMMARY, wide ? PANEL_DAYS : PANEL_SUMMARY, 7, wide ? 33 : 9, 4},
        {PANEL_CONNECTIONS, PANEL_CONNECTIONS, 3, INT_MAX, 3},
        {PANEL_DAYS, PANEL_DAYS, 4, 33, 3},
    };
    /* on the screen days stand before connections */
    static const size_t order[] = {0, 1, 2, 4, 3};
    size_t n = wide ? ELEMENTSOF(bands) - 1 : ELEMENTSOF(bands);
    struct band *band;
    int left, row = 1;

    *ret = (struct layout){.too_small = rows < MIN_ROWS || columns < MIN_COLUMNS};
    if (ret->too_small)
        return;
    ret->header = (struct place){0, 0, 1, columns};
    for (left = choose(bands, n, rows - 2, focus); left > 0; left--)
        if ((band = neediest(bands, n)))
            band->rows++;
    for (size_t i = 0; i < ELEMENTSOF(order); i++)
        if (order[i] < n && bands[order[i]].rows) {
            place(ret, &bands[order[i]], row, columns);
            row += bands[order[i]].rows;
        }
}
