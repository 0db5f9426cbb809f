/* SPDX-License-Identifier: MIT */
#include "shared/history.h"

#include <errno.h>
#include <string.h>

static int reserve_row(struct history *history)
{
    struct interval *rows;
    size_t size;

    if (history->n < history->size)
        return 0;
    size = history->size * 2 ?: 16;
    rows = reallocarray(history->rows, size, sizeof(*rows));
    if (!rows)
        return -ENOMEM;
    history->rows = rows;
    history->size = size;
    return 0;
}

int history_add(struct history *history, uint64_t start_usec, const struct traffic *traffic)
{
    size_t i = history->n;
    int r;

    /* Nearly always rows come in order. */
    while (i > 0 && history->rows[i - 1].start_usec > start_usec)
        i--;
    if (i == 0 || history->rows[i - 1].start_usec != start_usec) {
        r = reserve_row(history);
        if (r < 0)
            return r;
        memmove(&history->rows[i + 1], &history->rows[i],
                (history->n - i) * sizeof(*history->rows));
        history->rows[i++] = (struct interval){.start_usec = start_usec};
        history->n++;
    }
    traffic_add(&history->rows[i - 1].traffic, traffic);
    return 0;
}

void history_sum(const struct history *history, struct traffic *ret)
{
    struct traffic sum = {};

    for (size_t i = 0; i < history->n; i++)
        traffic_add(&sum, &history->rows[i].traffic);
    *ret = sum;
}

void history_clear(struct history *history)
{
    free(history->rows);
    *history = (struct history){};
}
