/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_LAYOUT_H
#define PORTMON_LAYOUT_H

/* Which panels there is room for, and where. Pure. */

#include "client/model.h"

#include <stdbool.h>

/* Below this nothing sensible can be shown. */
#define MIN_ROWS    10
#define MIN_COLUMNS 40

/** A rectangle of the screen; without rows it is not there. */
struct place {
    int row;
    int column;
    int rows;
    int columns;
};

struct layout {
    bool too_small;
    struct place header;
    struct place panels[_PANEL_MAX];
};

/**
 * Divides the screen between its first and its last row. The panel in focus always has its place,
 * and the others give way to it: days first, then the connections, the summary, the graph. Only the
 * number of ports counts of what is shown, so that panels stay where they are while figures change.
 */
void layout_divide(struct layout *ret, int rows, int columns, enum panel focus, size_t n_ports);

#endif
