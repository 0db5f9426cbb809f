/* SPDX-License-Identifier: MIT */
#include "client/tui/columns.h"

/** Gives its least width to each column that fits, the most important ones first. */
static int choose(const struct list_column *columns, int n, int width, struct placement *placement)
{
    int left = width + 1; /* the first has no blank before it */

    for (int precedence = 0; precedence < n; precedence++)
        for (int i = 0; i < n; i++)
            if (columns[i].precedence == precedence && columns[i].min < left) {
                placement->width[i] = columns[i].min;
                left -= columns[i].min + 1;
            }
    return left;
}

/** Lets columns grow while there is room, the most important ones first. */
static void grow(const struct list_column *columns, int n, int left, struct placement *placement)
{
    for (int precedence = 0; precedence < n; precedence++)
        for (int i = 0; i < n; i++) {
            int more = columns[i].max - columns[i].min;

            if (columns[i].precedence != precedence || !placement->width[i])
                continue;
            more = more < left ? more : left;
            placement->width[i] += more;
            left -= more;
        }
}

void columns_place(const struct list_column *columns, int n, int width, struct placement *ret)
{
    int at = 0;

    *ret = (struct placement){};
    grow(columns, n, choose(columns, n, width, ret), ret);
    for (int i = 0; i < n; i++) {
        ret->at[i] = at;
        at += ret->width[i] ? ret->width[i] + 1 : 0;
    }
}

int columns_find(const struct placement *placement, int n, int at)
{
    for (int i = 0; i < n; i++)
        if (at >= placement->at[i] && at < placement->at[i] + placement->width[i])
            return i;
    return -1;
}
