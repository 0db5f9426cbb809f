/* SPDX-License-Identifier: MIT */
/* What views share. */
#include "client/tui/view.h"

#include "client/text.h"

#include <stdio.h>

void view_say_empty(const struct region *region, int row, const char *text)
{
    region_fit(region, row, 1, region->columns - 2, STYLE_DIM, text);
}

void view_show_place(const struct region *region, int after, size_t top, size_t rows, size_t n)
{
    size_t last = top + rows < n ? top + rows : n;
    char text[80];
    int width;

    if (n <= rows)
        return;
    snprintf(text, sizeof(text), " %zu%s%zu of %zu ", top + 1, glyph_text(region->look, GLYPH_DASH),
             last, n);
    width = (int) text_width(text);
    if (after + width < region->columns - 1)
        region_put(region, 0, region->columns - 2 - width, STYLE_DIM, text);
}

void view_name_port(const struct model *model, char *buffer, size_t size, const char *name)
{
    if (model->selected)
        snprintf(buffer, size, "%u, %s", model->selected, name);
    else
        snprintf(buffer, size, "%s", name);
}
