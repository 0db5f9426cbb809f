/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_COLUMNS_H
#define PORTMON_COLUMNS_H

/* Which columns of a list fit a width, and how wide each is. */

#include "client/table.h"

#include <stdint.h>

struct list_column {
    const char *title;
    enum alignment alignment;
    int min;        /* columns of the terminal below which it is left out */
    int max;        /* to which it grows where there is room */
    int precedence; /* the lowest is the last to go */
};

#define MAX_LIST_COLUMNS 16

/** Where the columns of a list are; one of width 0 is left out. */
struct placement {
    int at[MAX_LIST_COLUMNS];
    int width[MAX_LIST_COLUMNS];
};

/** Places @n columns, a blank between them, in @width. */
void columns_place(const struct list_column *columns, int n, int width, struct placement *ret);

/** The column at terminal column @at, or -1. */
int columns_find(const struct placement *placement, int n, int at);

#endif
