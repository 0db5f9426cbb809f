/* SPDX-License-Identifier: MIT */
#include "client/table.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <wchar.h>

#define UNDERLINE "\033[4m"
#define PLAIN     "\033[0m"

struct table {
    const struct column *columns;
    size_t n_columns;
    size_t *widths; /* of each column, so far */
    char **cells;
    size_t n_cells;
    size_t size;
};

size_t text_width(const char *text)
{
    mbstate_t state = {};
    size_t width = 0, n;
    wchar_t character;

    while (*text) {
        n = mbrtowc(&character, text, MB_CUR_MAX, &state);
        if (n == (size_t) -1 || n == (size_t) -2) {
            state = (mbstate_t){};
            n = 1;
            width++;
        } else {
            int columns = wcwidth(character);

            width += columns > 0 ? (size_t) columns : 0;
        }
        text += n;
    }
    return width;
}

struct table *table_new(const struct column *columns, size_t n_columns)
{
    _cleanup_(table_freep) struct table *table = calloc(1, sizeof(*table));

    if (!table)
        return NULL;
    table->columns = columns;
    table->n_columns = n_columns;
    table->widths = calloc(n_columns, sizeof(*table->widths));
    if (!table->widths)
        return NULL;
    for (size_t i = 0; i < n_columns; i++)
        table->widths[i] = text_width(columns[i].title);
    return TAKE_PTR(table);
}

struct table *table_free(struct table *table)
{
    if (!table)
        return NULL;
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table->widths);
    free(table);
    return NULL;
}

int table_add(struct table *table, const char *format, ...)
{
    size_t column = table->n_cells % table->n_columns, size, width;
    va_list arguments;
    char **cells;
    int r;

    if (table->n_cells == table->size) {
        size = table->size * 2 ?: 64;
        cells = reallocarray(table->cells, size, sizeof(*cells));
        if (!cells)
            return -ENOMEM;
        table->cells = cells;
        table->size = size;
    }
    va_start(arguments, format);
    r = vasprintf(&table->cells[table->n_cells], format, arguments);
    va_end(arguments);
    if (r < 0)
        return -ENOMEM;
    width = text_width(table->cells[table->n_cells++]);
    if (width > table->widths[column])
        table->widths[column] = width;
    return 0;
}

static void print_cell(FILE *file, const char *text, size_t width, enum alignment alignment,
                       bool last)
{
    int padding = (int) (width - text_width(text));

    if (alignment == ALIGN_RIGHT)
        fprintf(file, "%*s%s", padding, "", text);
    else
        fprintf(file, "%s%*s", text, last ? 0 : padding, "");
    fputs(last ? "\n" : "  ", file);
}

void table_print(const struct table *table, FILE *file, bool color)
{
    size_t last = table->n_columns - 1;

    if (color)
        fputs(UNDERLINE, file);
    for (size_t i = 0; i <= last; i++)
        print_cell(file, table->columns[i].title, table->widths[i], table->columns[i].alignment,
                   i == last);
    if (color)
        fputs(PLAIN, file);
    for (size_t i = 0; i < table->n_cells; i++) {
        size_t column = i % table->n_columns;

        print_cell(file, table->cells[i], table->widths[column], table->columns[column].alignment,
                   column == last);
    }
}
