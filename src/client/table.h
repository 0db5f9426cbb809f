/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_TABLE_H
#define PORTMON_TABLE_H

/*
 * Tables as systemd's tools print them: a line of titles, aligned columns, two spaces between.
 * Widths are those of the terminal's columns, so any UTF-8 text aligns.
 */

#include "shared/cleanup.h"

#include <stdbool.h>
#include <stdio.h>

struct table;

enum alignment {
    ALIGN_LEFT,
    ALIGN_RIGHT,
};

struct column {
    const char *title;
    enum alignment alignment;
    unsigned rank; /* see table_fit(); 0: it stays */
};

/** @columns must live as long as the table. NULL without memory. */
struct table *table_new(const struct column *columns, size_t n_columns);
struct table *table_free(struct table *table);
DEFINE_CLEANUP(struct table, table_free)

/** Appends a cell, row by row, and makes it printable. Returns 0 or -ENOMEM. */
int table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * Makes the table fit a terminal: leaves out columns, those of the highest rank first, and cuts the
 * last one if that is a text.
 */
void table_fit(struct table *table, size_t columns);

/** Prints the table; with @color, titles are underlined. */
void table_print(const struct table *table, FILE *file, bool color);

/** Terminal columns that the table takes. */
size_t table_width(const struct table *table);

/** Puts question marks where a terminal would take a UTF-8 text for a command to it. */
void make_printable(char *text);

#endif
