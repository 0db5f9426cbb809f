/* SPDX-License-Identifier: MIT */
/* The keys, over everything else. */
#include "client/tui/keys.h"
#include "client/tui/view.h"

#define KEYS_WIDTH 18

static void settle(struct model *model, const struct region *region)
{
    size_t n, rows = (size_t) region->rows - 1;

    keys_help(&n);
    if (model->help_top + rows > n)
        model->help_top = n > rows ? n - rows : 0;
}

static void draw(const struct model *model, const struct region *region)
{
    size_t n, rows = (size_t) region->rows - 1;
    const struct key_help *help = keys_help(&n);
    int after = region_title(region, true, "keys");

    view_show_place(region, after, model->help_top, rows, n);
    for (size_t i = 0; i < rows && model->help_top + i < n; i++) {
        const struct key_help *line = &help[model->help_top + i];

        region_fit(region, (int) i + 1, 2, KEYS_WIDTH, STYLE_KEY, line->keys);
        region_fit(region, (int) i + 1, 2 + KEYS_WIDTH, region->columns - KEYS_WIDTH - 2,
                   STYLE_NORMAL, line->text);
    }
}

const struct view view_help = {.settle = settle, .draw = draw};
