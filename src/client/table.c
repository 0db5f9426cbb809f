/* SPDX-License-Identifier: MIT */
#include "client/table.h"

#include "client/text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define UNDERLINE "\033[4m"
#define PLAIN     "\033[0m"

/* Blanks between columns. */
#define SEPARATION 2

/* A text is not cut to less than this. */
#define MIN_TEXT_WIDTH 12

struct table {
    const struct column *columns;
    const char **titles; /* those of the columns */
    size_t n_columns;
    size_t *widths; /* of each column, so far */
    unsigned rank;  /* from this one on, columns are left out; 0: none is */
    char **cells;
    size_t n_cells;
    size_t size;
};

void make_printable(char *text)
{
    unsigned char *c = (unsigned char *) text;

    for (; *c; c++)
        if (*c < ' ' || *c == 0x7f)
            *c = '?';
        else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) /* U+0080 to U+009F */
            c[0] = c[1] = '?';
}

struct table *table_new(const struct column *columns, size_t n_columns)
{
    _cleanup_(table_freep) struct table *table = calloc(1, sizeof(*table));

    if (!table)
        return NULL;
    table->columns = columns;
    table->n_columns = n_columns;
    table->widths = calloc(n_columns, sizeof(*table->widths));
    table->titles = calloc(n_columns, sizeof(*table->titles));
    if (!table->widths || !table->titles)
        return NULL;
    for (size_t i = 0; i < n_columns; i++) {
        table->titles[i] = columns[i].title;
        table->widths[i] = text_width(columns[i].title);
    }
    return TAKE_PTR(table);
}

struct table *table_free(struct table *table)
{
    if (!table)
        return NULL;
    for (size_t i = 0; i < table->n_cells; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table->titles);
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
    make_printable(table->cells[table->n_cells]);
    width = text_width(table->cells[table->n_cells++]);
    if (width > table->widths[column])
        table->widths[column] = width;
    return 0;
}

static bool is_shown(const struct table *table, size_t column)
{
    return !table->rank || table->columns[column].rank < table->rank;
}

size_t table_width(const struct table *table)
{
    size_t width = 0;

    for (size_t i = 0; i < table->n_columns; i++)
        if (is_shown(table, i))
            width += table->widths[i] + (width ? SEPARATION : 0);
    return width;
}

void table_fit(struct table *table, size_t columns)
{
    size_t width, last = table->n_columns - 1;
    unsigned rank = 0;

    for (size_t i = 0; i < table->n_columns; i++)
        if (table->columns[i].rank > rank)
            rank = table->columns[i].rank;
    for (; rank && table_width(table) > columns; rank--)
        table->rank = rank;

    width = table_width(table);
    if (width <= columns || table->columns[last].alignment != ALIGN_LEFT || !is_shown(table, last))
        return;
    width = width - columns < table->widths[last] ? table->widths[last] - (width - columns) : 0;
    if (width < MIN_TEXT_WIDTH)
        width = MIN_TEXT_WIDTH;
    if (width >= table->widths[last])
        return;
    table->widths[last] = width;
    for (size_t i = last; i < table->n_cells; i += table->n_columns)
        text_cut(table->cells[i], width);
}

/** Prints a row without blanks at its end. */
static void print_row(const struct table *table, FILE *file, const char *const *cells)
{
    size_t blanks = 0;

    for (size_t i = 0; i < table->n_columns; i++) {
        size_t padding = table->widths[i] - text_width(cells[i]);
        bool right = table->columns[i].alignment == ALIGN_RIGHT;

        if (!is_shown(table, i))
            continue;
        if (*cells[i]) {
            fprintf(file, "%*s%s", (int) (blanks + (right ? padding : 0)), "", cells[i]);
            blanks = right ? 0 : padding;
        } else
            blanks += padding;
        blanks += SEPARATION;
    }
}

void table_print(const struct table *table, FILE *file, bool color)
{
    fputs(color ? UNDERLINE : "", file);
    print_row(table, file, table->titles);
    fputs(color ? PLAIN "\n" : "\n", file);
    for (size_t i = 0; i + table->n_columns <= table->n_cells; i += table->n_columns) {
        print_row(table, file, (const char *const *) table->cells + i);
        fputc('\n', file);
    }
}
