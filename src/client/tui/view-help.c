/* SPDX-License-Identifier: MIT */
/* The keys, over everything else. */
#include "client/tui/keys.h"
#include "client/tui/view.h"

#define KEYS_WIDTH    18
#define TEXT_AT       (2 + KEYS_WIDTH)
#define MAX_TEXT_ROWS 4

static int rows_of(const struct key_help *line, const struct region *region)
{
    return wrapped_rows(line->text, region->columns - TEXT_AT - 1, MAX_TEXT_ROWS);
}

static size_t all_rows(const struct region *region)
{
    size_t n, rows = 0;
    const struct key_help *help = keys_help(&n);

    for (size_t i = 0; i < n; i++)
        rows += (size_t) rows_of(&help[i], region);
    return rows;
}

static void settle(struct model *model, const struct region *region)
{
    size_t n = all_rows(region), rows = (size_t) region->rows - 1;

    if (model->help_top + rows > n)
        model->help_top = n > rows ? n - rows : 0;
}

static void draw(const struct model *model, const struct region *region)
{
    struct region body = region_part(region, 1, 0, region->rows - 1, region->columns);
    int row = -(int) model->help_top;
    size_t n;
    const struct key_help *help = keys_help(&n);

    view_show_place(region, region_title(region, true, "keys"), model->help_top, (size_t) body.rows,
                    all_rows(region));
    for (size_t i = 0; i < n; i++) {
        int rows = rows_of(&help[i], region);

        region_fit(&body, row, 2, KEYS_WIDTH, STYLE_KEY, help[i].keys);
        region_wrap(&body, row, TEXT_AT, region->columns - TEXT_AT - 1, rows, STYLE_NORMAL,
                    help[i].text);
        row += rows;
    }
}

const struct view view_help = {.settle = settle, .draw = draw};
