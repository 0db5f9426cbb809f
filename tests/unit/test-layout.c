/* SPDX-License-Identifier: MIT */
/* Which panels there are on a screen of what size, and which columns in a list. */
#include "client/tui/layout.h"

#include "client/tui/columns.h"
#include "shared/cleanup.h"
#include "test.h"

#include <limits.h>

/** The panels of a screen, each with its rows: "ports 4, graph 9". */
static const char *panels(int rows, int columns, enum panel focus, size_t n_ports)
{
    static const char *const names[_PANEL_MAX] = {"ports", "graph", "summary", "days",
                                                  "connections"};
    static char text[128];
    struct layout layout;
    size_t n = 0;

    *text = '\0';
    layout_divide(&layout, rows, columns, focus, n_ports);
    if (layout.too_small)
        return "too small";
    for (enum panel panel = 0; panel < _PANEL_MAX; panel++)
        if (layout.panels[panel].rows)
            n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%s %d", n ? ", " : "",
                                   names[panel], layout.panels[panel].rows);
    return text;
}

TEST(panels_give_way)
{
    static const struct {
        int rows, columns;
        enum panel focus;
        const char *panels;
    } cases[] = {
        {9, 200, PANEL_PORTS, "too small"},
        {200, 39, PANEL_PORTS, "too small"},
        {10, 40, PANEL_PORTS, "ports 4, graph 4"},
        {10, 40, PANEL_GRAPH, "ports 4, graph 4"},
        {10, 40, PANEL_SUMMARY, "summary 8"},
        {10, 40, PANEL_DAYS, "ports 4, days 4"},
        {10, 40, PANEL_CONNECTIONS, "ports 4, connections 4"},
        {10, 200, PANEL_DAYS, "summary 8, days 8"},
        {24, 79, PANEL_PORTS, "ports 4, graph 4, summary 7, days 4, connections 3"},
        {24, 80, PANEL_PORTS, "ports 4, graph 6, summary 7, days 7, connections 5"},
        {30, 100, PANEL_PORTS, "ports 4, graph 9, summary 9, days 9, connections 6"},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        CONTEXT("%dx%d, focus %d", cases[i].columns, cases[i].rows, cases[i].focus);
        CHECK_STREQ(panels(cases[i].rows, cases[i].columns, cases[i].focus, 3), cases[i].panels);
    }
}

/** Counts in @seen how often each cell is covered. */
static void cover(unsigned char *seen, int rows, int columns, const struct place *place)
{
    CHECK(place->row >= 0 && place->row + place->rows <= rows);
    CHECK(place->column >= 0 && place->column + place->columns <= columns);
    for (int row = place->row; row < place->row + place->rows; row++)
        for (int column = place->column; column < place->column + place->columns; column++)
            seen[row * columns + column]++;
}

static void check_size(int rows, int columns, enum panel focus, size_t n_ports)
{
    unsigned char *seen = calloc((size_t) rows, (size_t) columns);
    struct layout layout;
    int most = 0;

    REQUIRE(seen);
    CONTEXT("%dx%d, focus %d, %zu ports", columns, rows, focus, n_ports);
    layout_divide(&layout, rows, columns, focus, n_ports);
    CHECK(layout.panels[focus].rows >= 3);
    CHECK_EQ(layout.header.rows, 1);
    cover(seen, rows, columns, &layout.header);
    for (enum panel panel = 0; panel < _PANEL_MAX; panel++) {
        CHECK(!layout.panels[panel].rows || layout.panels[panel].rows >= 3);
        cover(seen, rows, columns, &layout.panels[panel]);
    }
    for (int i = 0; i < rows * columns; i++)
        most = seen[i] > most ? seen[i] : most;
    CHECK_EQ(most, 1);
    for (int i = (rows - 1) * columns; i < rows * columns; i++)
        CHECK_EQ(seen[i], 0); /* the last line is for prompts */
    free(seen);
}

TEST(nothing_overlaps_at_any_size)
{
    static const size_t n_ports[] = {0, 1, 3, 50, SIZE_MAX};

    for (int rows = MIN_ROWS; rows <= 120; rows += rows < 40 ? 1 : 17)
        for (int columns = MIN_COLUMNS; columns <= 320; columns += columns < 120 ? 3 : 50)
            for (enum panel focus = 0; focus < _PANEL_MAX; focus++)
                for (size_t i = 0; i < ELEMENTSOF(n_ports); i++)
                    check_size(rows, columns, focus, n_ports[i]);
}

/* Calm: what is shown of a connection or a day must not move the panels. */
TEST(the_same_ports_give_the_same_layout)
{
    struct layout a, b;

    layout_divide(&a, 30, 100, PANEL_PORTS, 3);
    layout_divide(&b, 30, 100, PANEL_CONNECTIONS, 3);
    CHECK(memcmp(&a, &b, sizeof(a)) == 0); /* nor the focus, where there is room for all */
}

TEST(columns_give_way_by_precedence)
{
    static const struct list_column columns[] = {
        {"A", ALIGN_LEFT, 5, 5, 0},
        {"B", ALIGN_LEFT, 6, 20, 2},
        {"C", ALIGN_LEFT, 10, 10, 1},
    };
    static const struct {
        int width, a, b, c;
    } cases[] = {{4, 0, 0, 0},   {5, 5, 0, 0},    {15, 5, 9, 0},   {16, 5, 0, 10}, {22, 5, 0, 10},
                 {23, 5, 6, 10}, {30, 5, 13, 10}, {37, 5, 20, 10}, {99, 5, 20, 10}};
    struct placement placement;

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        CONTEXT("%d", cases[i].width);
        columns_place(columns, ELEMENTSOF(columns), cases[i].width, &placement);
        CHECK_EQ(placement.width[0], cases[i].a);
        CHECK_EQ(placement.width[1], cases[i].b);
        CHECK_EQ(placement.width[2], cases[i].c);
    }
    CHECK_EQ(columns_find(&placement, 3, 4), 0);
    CHECK_EQ(columns_find(&placement, 3, 5), -1); /* between them */
    CHECK_EQ(columns_find(&placement, 3, 6), 1);
    CHECK_EQ(columns_find(&placement, 3, 40), -1);
}

RUN_TESTS()
