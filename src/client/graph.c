/* SPDX-License-Identifier: MIT */
#include "client/graph.h"

#include "shared/cleanup.h"

#include <math.h>
#include <string.h>

/* ---- drawing ---- */

#define BRAILLE_BLANK 0x2800

/* The dots of a braille character, by how high its left and its right column are. */
static const uint8_t braille_dots[_GRAPH_GROWTH_MAX][2][5] = {
    [GRAPH_UP] = {{0x00, 0x40, 0x44, 0x46, 0x47}, {0x00, 0x80, 0xa0, 0xb0, 0xb8}},
    [GRAPH_DOWN] = {{0x00, 0x01, 0x03, 0x07, 0x47}, {0x00, 0x08, 0x18, 0x38, 0xb8}},
};

static const struct style {
    unsigned density;
    unsigned levels;                          /* heights that a character can show */
    const wchar_t *glyphs[_GRAPH_GROWTH_MAX]; /* by height; NULL: braille */
} styles[_GRAPH_STYLE_MAX] = {
    [GRAPH_ASCII] = {1, 3, {L" .:|", L" ':|"}},
    [GRAPH_BLOCKS] = {1, 8, {L" ▁▂▃▄▅▆▇█", L" ▔▔▀▀▀▀▀█"}},
    [GRAPH_BRAILLE] = {2, 4, {}},
};

unsigned graph_density(enum graph_style style)
{
    return styles[style].density;
}

/** How high a value stands in @row, in levels of the style. */
static unsigned height_in_row(const struct graph *graph, float value, unsigned row)
{
    unsigned levels = styles[graph->style].levels, whole = graph->rows * levels, height;

    if (!(value > 0) || !graph->top)
        return 0;
    height = value < (float) graph->top
                 ? (unsigned) lround((double) value / (double) graph->top * whole)
                 : whole;
    if (height == 0)
        height = 1;
    if (height <= row * levels)
        return 0;
    return height - row * levels < levels ? height - row * levels : levels;
}

/** A blank that is none of braille: some fonts show the dots that are not there. */
static wchar_t braille(unsigned dots)
{
    return dots ? (wchar_t) (BRAILLE_BLANK | dots) : L' ';
}

void graph_row(const struct graph *graph, unsigned row, wchar_t *ret)
{
    const struct style *style = &styles[graph->style];
    const wchar_t *glyphs = style->glyphs[graph->growth];

    for (unsigned i = 0; i < graph->columns; i++) {
        const float *values = graph->values + (size_t) i * style->density;
        unsigned height = height_in_row(graph, values[0], row);

        if (glyphs)
            ret[i] = glyphs[height];
        else
            ret[i] = braille(braille_dots[graph->growth][0][height] |
                             braille_dots[graph->growth][1][height_in_row(graph, values[1], row)]);
    }
}

/* ---- scale ---- */

/* Steps for which a lower scale must do before it is taken: no jump for a moment's quiet. */
#define CALM_STEPS 10

/* What a graph of nothing is scaled to: a few bytes a second should not look like a flood. */
#define LOWEST_TOP 1000

uint64_t graph_round(uint64_t rate, enum unit_system units)
{
    static const unsigned steps[] = {1, 2, 5, 10, 20, 50, 100, 200, 500};
    unsigned base = units == UNITS_SI ? 1000 : 1024;

    for (uint64_t unit = 1; unit <= UINT64_MAX / base; unit *= base)
        for (size_t i = 0; i < ELEMENTSOF(steps); i++)
            if (steps[i] <= UINT64_MAX / unit && steps[i] * unit >= rate)
                return steps[i] * unit;
    return UINT64_MAX;
}

const char *graph_format_round(char buffer[static FORMAT_SIZE], uint64_t rate,
                               enum unit_system units)
{
    const char *unit = strchr(format_rate(buffer, rate, units), ' ');

    memmove(buffer + strspn(buffer, "0123456789"), unit, strlen(unit) + 1);
    return buffer;
}

void graph_scale_follow(struct graph_scale *scale, uint64_t highest, enum unit_system units)
{
    uint64_t lowest = highest < LOWEST_TOP ? LOWEST_TOP : highest;
    uint64_t lower = graph_round(lowest + lowest / 4, units); /* with room to grow back */

    if (graph_round(lowest, units) > scale->top)
        *scale = (struct graph_scale){.top = graph_round(lowest, units)};
    else if (lower >= scale->top)
        scale->calm = 0;
    else if (++scale->calm >= CALM_STEPS)
        *scale = (struct graph_scale){.top = lower};
}
