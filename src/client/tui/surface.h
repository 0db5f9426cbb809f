/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_SURFACE_H
#define PORTMON_SURFACE_H

/*
 * A screen in memory: cells that views write into and that screen.c shows. It knows what cells
 * mean, not what colours they get.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

/** What a cell means; screen.c has a table of what that looks like. */
enum style {
    STYLE_NORMAL,
    STYLE_DIM,      /* labels, units, zeros: there if one looks for it */
    STYLE_STRONG,   /* what the eye should find first */
    STYLE_HEADING,  /* titles of columns */
    STYLE_TITLE,    /* of a panel */
    STYLE_FOCUS,    /* of the panel in focus */
    STYLE_RULE,     /* lines between panels */
    STYLE_RX,       /* what was received */
    STYLE_TX,       /* what was sent */
    STYLE_SELECTED, /* a row under the cursor */
    STYLE_KEY,      /* a key one can press */
    STYLE_GOOD,
    STYLE_WARNING,
    STYLE_ALARM,
    _STYLE_MAX,
};

/** A character and what joins it: an accent or two. */
#define CELL_CHARACTERS 3

struct cell {
    wchar_t text[CELL_CHARACTERS + 1]; /* empty: the right half of the cell before */
    uint8_t style;
};

/** How things can be shown. */
struct look {
    bool unicode; /* else ASCII alone */
    bool color;   /* else what has one colour must differ in shape */
};

struct surface {
    struct cell *cells;
    unsigned rows;
    unsigned columns;
    int cursor_row; /* negative if there is no cursor */
    int cursor_column;
};

/** Makes it of that size, and blank. Returns 0 or -ENOMEM. */
int surface_resize(struct surface *surface, unsigned rows, unsigned columns);
void surface_clear(struct surface *surface);

/** Takes one that is zeroed. */
void surface_free(struct surface *surface);

/** Whether a row of two surfaces of one size is the same. */
bool surface_row_equal(const struct surface *a, const struct surface *b, unsigned row);

/**
 * A rectangle of a surface. Views count rows and columns from its corner; what is outside is cut
 * off.
 */
struct region {
    struct surface *surface;
    const struct look *look;
    int row;
    int column;
    int rows;
    int columns;
};

struct region region_part(const struct region *region, int row, int column, int rows, int columns);

/** Writes a UTF-8 text; returns the column behind it. */
int region_put(const struct region *region, int row, int column, enum style style,
               const char *text);
int region_printf(const struct region *region, int row, int column, enum style style,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));

/** Writes characters that take one column each. */
int region_put_wide(const struct region *region, int row, int column, enum style style,
                    const wchar_t *text, size_t n);

/** Writes a text that takes @width columns at the most: a longer one ends in an ellipsis. */
void region_fit(const struct region *region, int row, int column, int width, enum style style,
                const char *text);

/** As region_fit(), at the right end of the @width columns. */
void region_fit_right(const struct region *region, int row, int column, int width, enum style style,
                      const char *text);

/** Writes a character @n times. */
void region_repeat(const struct region *region, int row, int column, int n, enum style style,
                   wchar_t character);

/** Gives what is in some columns of a row another style. */
void region_restyle(const struct region *region, int row, int column, int n, enum style style);

/** How many lines of @width a text takes, up to @max_rows. */
int wrapped_rows(const char *text, int width, int max_rows);

/** Writes a text over that many lines, the last of which ends in an ellipsis if need be. */
int region_wrap(const struct region *region, int row, int column, int width, int max_rows,
                enum style style, const char *text);

/** A line with a title in it, at the top of a region; returns the column behind the title. */
int region_title(const struct region *region, bool in_focus, const char *title);

/** Characters that not every locale has. */
enum glyph {
    GLYPH_RULE,
    GLYPH_ELLIPSIS,
    GLYPH_RECEIVED,
    GLYPH_SENT,
    GLYPH_ASCENDING,
    GLYPH_DESCENDING,
    GLYPH_DOT,
    GLYPH_DASH,
    GLYPH_TICK,
    GLYPH_POINTER,
    _GLYPH_MAX,
};

/** As the look allows, in UTF-8. */
const char *glyph_text(const struct look *look, enum glyph glyph);
wchar_t glyph_character(const struct look *look, enum glyph glyph);

#endif
