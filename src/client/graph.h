/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_GRAPH_H
#define PORTMON_GRAPH_H

/* Rates as columns of characters, and the scale they are drawn to. Pure. */

#include "shared/format.h"

#include <stddef.h>
#include <stdint.h>
#include <wchar.h>

/** What a graph is made of: "|" in ASCII, eighths of a block, or dots of braille. */
enum graph_style {
    GRAPH_ASCII,
    GRAPH_BLOCKS,
    GRAPH_BRAILLE,
    _GRAPH_STYLE_MAX,
};

/** Which way columns grow from the axis. */
enum graph_growth {
    GRAPH_UP,
    GRAPH_DOWN,
    _GRAPH_GROWTH_MAX,
};

struct graph {
    enum graph_style style;
    enum graph_growth growth;
    unsigned rows;
    unsigned columns;
    const float *values; /* columns * graph_density(style); NaN is drawn as nothing */
    uint64_t top;        /* the value of a column that is as high as the graph */
};

/** How many values stand side by side in a character. */
unsigned graph_density(enum graph_style style);

/**
 * Writes the characters of a row; row 0 is the one at the axis. What is more than nothing is at
 * least as high as the style can show.
 */
void graph_row(const struct graph *graph, unsigned row, wchar_t *ret);

/** The lowest round rate that is not below @rate: 1, 2, 5, 10, 20, … 500 of a unit. */
uint64_t graph_round(uint64_t rate, enum unit_system units);

/** As format_rate(), without decimals: for round rates. */
const char *graph_format_round(char buffer[static FORMAT_SIZE], uint64_t rate,
                               enum unit_system units);

/**
 * What a graph's top stands for. It grows at once, but shrinks only after everything has been well
 * below for some time, so that a graph near a limit does not jump. Zeroed when new.
 */
struct graph_scale {
    uint64_t top;
    unsigned calm; /* for how many steps it could have been lower */
};

/** Takes one more step, at which @highest is the highest value shown. */
void graph_scale_follow(struct graph_scale *scale, uint64_t highest, enum unit_system units);

#endif
