/* SPDX-License-Identifier: MIT */
#include "client/tui/surface.h"

#include "client/text.h"
#include "shared/cleanup.h"

#include <stdarg.h>
#include <string.h>

/* ---- the surface ---- */

int surface_resize(struct surface *surface, unsigned rows, unsigned columns)
{
    struct cell *cells = calloc((size_t) rows * columns ?: 1, sizeof(*cells));

    if (!cells)
        return -ENOMEM;
    free(surface->cells);
    *surface = (struct surface){.cells = cells, .rows = rows, .columns = columns};
    surface_clear(surface);
    return 0;
}

void surface_clear(struct surface *surface)
{
    for (size_t i = 0; i < (size_t) surface->rows * surface->columns; i++)
        surface->cells[i] = (struct cell){.text = L" "};
    surface->cursor_row = -1;
}

void surface_free(struct surface *surface)
{
    free(surface->cells);
    *surface = (struct surface){};
}

bool surface_row_equal(const struct surface *a, const struct surface *b, unsigned row)
{
    size_t at = (size_t) row * a->columns;

    for (size_t i = at; i < at + a->columns; i++)
        if (a->cells[i].style != b->cells[i].style ||
            wcscmp(a->cells[i].text, b->cells[i].text) != 0)
            return false;
    return true;
}

/* ---- regions ---- */

struct region region_part(const struct region *region, int row, int column, int rows, int columns)
{
    struct region part = *region;

    part.row += row;
    part.column += column;
    part.rows = rows < region->rows - row ? rows : region->rows - row;
    part.columns = columns < region->columns - column ? columns : region->columns - column;
    if (row < 0 || column < 0) /* its corner is not there */
        part.rows = 0;
    return part;
}

static struct cell *cell_at(const struct region *region, int row, int column)
{
    size_t at;

    if (row < 0 || column < 0 || row >= region->rows || column >= region->columns)
        return NULL;
    at = (size_t) (region->row + row) * region->surface->columns + (size_t) region->column;
    return &region->surface->cells[at + (size_t) column];
}

/** Puts a character into its cell, or both its cells; returns the column behind it. */
static int put(const struct region *region, int row, int column, enum style style,
               wchar_t character, int width)
{
    struct cell *cell = cell_at(region, row, column);
    struct cell *last = cell_at(region, row, column + width - 1);

    /* Half of a wide character can't be shown, nor can what would stick out. */
    if (cell && last) {
        *cell = (struct cell){.text = {character}, .style = (uint8_t) style};
        if (last != cell)
            *last = (struct cell){.style = (uint8_t) style};
    } else if (cell)
        *cell = (struct cell){.text = L" ", .style = (uint8_t) style};
    return column + width;
}

/** Adds an accent to the character in a cell, if there is room for it. */
static void join(const struct region *region, int row, int column, wchar_t character)
{
    struct cell *cell = cell_at(region, row, column);
    size_t n;

    if (cell && !*cell->text) /* the right half of a wide one */
        cell = cell_at(region, row, column - 1);
    if (!cell)
        return;
    n = wcslen(cell->text);
    if (n < CELL_CHARACTERS)
        cell->text[n] = character;
}

int region_put(const struct region *region, int row, int column, enum style style, const char *text)
{
    wchar_t character;
    unsigned width;
    int first = column;

    while (text_next(&text, &character, &width))
        if (width)
            column = put(region, row, column, style, character, (int) width);
        else if (column > first) /* else there is nothing of this text to join */
            join(region, row, column - 1, character);
    return column;
}

int region_printf(const struct region *region, int row, int column, enum style style,
                  const char *format, ...)
{
    _cleanup_free_ char *text = NULL;
    va_list arguments;
    int r;

    va_start(arguments, format);
    r = vasprintf(&text, format, arguments);
    va_end(arguments);
    return r < 0 ? column : region_put(region, row, column, style, text);
}

int region_put_wide(const struct region *region, int row, int column, enum style style,
                    const wchar_t *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        column = put(region, row, column, style, text[i], 1);
    return column;
}

void region_fit(const struct region *region, int row, int column, int width, enum style style,
                const char *text)
{
    struct region part = region_part(region, row, column, 1, width);

    if (width <= 0)
        return;
    if ((int) text_width(text) <= width) {
        region_put(&part, 0, 0, style, text);
        return;
    }
    part.columns = width - 1;
    region_put(&part, 0, 0, style, text);
    region_put(region, row, column + width - 1, style, glyph_text(region->look, GLYPH_ELLIPSIS));
}

void region_fit_right(const struct region *region, int row, int column, int width, enum style style,
                      const char *text)
{
    int blanks = width - (int) text_width(text);

    if (blanks > 0)
        region_put(region, row, column + blanks, style, text);
    else
        region_fit(region, row, column, width, style, text);
}

void region_repeat(const struct region *region, int row, int column, int n, enum style style,
                   wchar_t character)
{
    for (int i = 0; i < n; i++)
        put(region, row, column + i, style, character, 1);
}

void region_restyle(const struct region *region, int row, int column, int n, enum style style)
{
    for (int i = column; i < column + n; i++) {
        struct cell *cell = cell_at(region, row, i);

        if (cell)
            cell->style = (uint8_t) style;
    }
}

/** Bytes of @text that fit @width columns, up to a blank if there is one. */
static size_t line_length(const char *text, int width)
{
    const char *at = text, *blank = NULL, *before = text;
    wchar_t character;
    unsigned columns;

    for (int used = 0; text_next(&at, &character, &columns); before = at) {
        used += (int) columns;
        if (used > width)
            return (size_t) ((blank ?: before) - text);
        if (character == L' ')
            blank = before;
    }
    return (size_t) (at - text);
}

int wrapped_rows(const char *text, int width, int max_rows)
{
    int rows = 0;

    for (; *text && rows < max_rows && width > 1; rows++) {
        text += line_length(text, width);
        text += strspn(text, " ");
    }
    return rows;
}

int region_wrap(const struct region *region, int row, int column, int width, int max_rows,
                enum style style, const char *text)
{
    int rows = wrapped_rows(text, width, max_rows);

    for (int i = 0; i < rows; i++) {
        size_t length = i + 1 < rows ? line_length(text, width) : strlen(text);
        _cleanup_free_ char *line = strndup(text, length);

        if (!line)
            break;
        region_fit(region, row + i, column, width, style, line);
        text += length;
        text += strspn(text, " ");
    }
    return rows;
}

int region_title(const struct region *region, bool in_focus, const char *title)
{
    const wchar_t rule = glyph_character(region->look, GLYPH_RULE);
    int width = (int) text_width(title), room = region->columns - 4;

    region_repeat(region, 0, 0, region->columns, STYLE_RULE, rule);
    if (width > room)
        width = room;
    region_put(region, 0, 2, STYLE_RULE, " ");
    region_fit(region, 0, 3, width, in_focus ? STYLE_FOCUS : STYLE_TITLE, title);
    return region_put(region, 0, 3 + width, STYLE_RULE, " ");
}

/* ---- glyphs ---- */

static const struct {
    const char *text;
    wchar_t character;
    char ascii[2];
} glyphs[_GLYPH_MAX] = {
    [GLYPH_RULE] = {"─", L'─', "-"},      [GLYPH_ELLIPSIS] = {"…", L'…', "~"},
    [GLYPH_RECEIVED] = {"↓", L'↓', "v"},  [GLYPH_SENT] = {"↑", L'↑', "^"},
    [GLYPH_ASCENDING] = {"▴", L'▴', "^"}, [GLYPH_DESCENDING] = {"▾", L'▾', "v"},
    [GLYPH_DOT] = {"·", L'·', "-"},       [GLYPH_DASH] = {"–", L'–', "-"},
    [GLYPH_TICK] = {"┬", L'┬', "+"},      [GLYPH_POINTER] = {"▸", L'▸', ">"},
};

const char *glyph_text(const struct look *look, enum glyph glyph)
{
    return look->unicode ? glyphs[glyph].text : glyphs[glyph].ascii;
}

wchar_t glyph_character(const struct look *look, enum glyph glyph)
{
    return look->unicode ? glyphs[glyph].character : glyphs[glyph].ascii[0];
}
