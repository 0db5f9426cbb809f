/* SPDX-License-Identifier: MIT */
#include "client/graph.h"

#include "client/series.h"
#include "shared/cleanup.h"
#include "shared/time-util.h"
#include "test.h"
#include "unit/util.h"

#include <locale.h>
#include <math.h>
#include <wchar.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

/* ---- drawing ---- */

static const float no, unknown = NAN;

/** Draws a graph one character high and compares it with @wanted. */
static void check_row(enum graph_style style, enum graph_growth growth, const float *values,
                      unsigned columns, const wchar_t *wanted)
{
    const struct graph graph = {style, growth, 1, columns, values, 8};
    wchar_t row[32] = {};

    graph_row(&graph, 0, row);
    if (wcscmp(row, wanted) != 0)
        CHECK_FAILED("the row is \"%ls\", not \"%ls\"", row, wanted);
}

TEST(heights)
{
    const float values[] = {unknown, no, 1, 2, 3, 4, 5, 6, 7, 8, 100};

    check_row(GRAPH_BLOCKS, GRAPH_UP, values, ELEMENTSOF(values), L"  ▁▂▃▄▅▆▇██");
    check_row(GRAPH_ASCII, GRAPH_UP, values, ELEMENTSOF(values), L"  ...:::|||");
    check_row(GRAPH_ASCII, GRAPH_DOWN, values, ELEMENTSOF(values), L"  ''':::|||");
}

TEST(braille_has_two_values_in_a_character)
{
    const float values[] = {no, no, 8, no, no, 8, 2, 4, unknown, 6, 8, 8};

    CHECK_EQ(graph_density(GRAPH_BRAILLE), 2);
    check_row(GRAPH_BRAILLE, GRAPH_UP, values, 6, L" ⡇⢸⣠⢰⣿");
    check_row(GRAPH_BRAILLE, GRAPH_DOWN, values, 6, L" ⡇⢸⠙⠸⣿");
}

TEST(rows_are_stacked_from_the_axis)
{
    const float values[] = {8, 4, 6, 1, no};
    const struct graph graph = {GRAPH_BLOCKS, GRAPH_UP, 2, ELEMENTSOF(values), values, 8};
    wchar_t low[8] = {}, high[8] = {};

    graph_row(&graph, 0, low);
    graph_row(&graph, 1, high);
    CHECK(wcscmp(low, L"███▂ ") == 0);
    CHECK(wcscmp(high, L"█ ▄  ") == 0);
}

TEST(what_is_more_than_nothing_is_seen)
{
    const float values[] = {0.001F, 1e-30F, no};
    const struct graph graph = {GRAPH_BLOCKS, GRAPH_UP, 9, ELEMENTSOF(values), values, UINT64_MAX};
    wchar_t row[8] = {};

    graph_row(&graph, 0, row);
    CHECK(wcscmp(row, L"▁▁ ") == 0);
    graph_row(&graph, 1, row);
    CHECK(wcscmp(row, L"   ") == 0);
}

TEST(without_a_scale_nothing_is_drawn)
{
    const float values[] = {1, 1e30F, INFINITY};
    const struct graph graph = {GRAPH_BLOCKS, GRAPH_UP, 1, ELEMENTSOF(values), values, 0};
    wchar_t row[8] = {};

    graph_row(&graph, 0, row);
    CHECK(wcscmp(row, L"   ") == 0);
}

/* Whatever comes, a column has no hole and is no higher than the graph. */
TEST(columns_have_no_holes)
{
    uint64_t state = 42;

    for (int i = 0; i < 2000; i++) {
        const float value = (float) chance_below(&state, 3000);
        const struct graph graph = {GRAPH_BLOCKS, GRAPH_UP, 1 + i % 9, 1, &value, 1000};
        bool ended = false;
        wchar_t cell;

        for (unsigned row = 0; row < graph.rows; row++) {
            graph_row(&graph, row, &cell);
            CHECK(!ended || cell == L' ');
            ended = cell != L'█';
        }
        CHECK(value < 1000 || !ended);
    }
}

/* ---- scale ---- */

TEST(round_rates)
{
    static const struct {
        uint64_t rate, iec, si;
    } cases[] = {
        {0, 1, 1},
        {1, 1, 1},
        {3, 5, 5},
        {21, 50, 50},
        {500, 500, 500},
        {501, KIB, 1000},
        {1000, KIB, 1000},
        {1024, KIB, 2000},
        {1025, 2 * KIB, 2000},
        {3 * MIB, 5 * MIB, 5000000},
        {500 * MIB + 1, KIB * MIB, 1000000000},
        {UINT64_MAX / 2, UINT64_C(8) << 60, UINT64_C(10000000000000000000)},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        CONTEXT("%" PRIu64, cases[i].rate);
        CHECK(graph_round(cases[i].rate, UNITS_IEC) >= cases[i].rate);
        if (cases[i].rate < UINT64_MAX / 2)
            CHECK_EQ(graph_round(cases[i].rate, UNITS_IEC), cases[i].iec);
        CHECK(graph_round(cases[i].rate, UNITS_SI) >= cases[i].rate);
        if (cases[i].rate < UINT64_MAX / 2)
            CHECK_EQ(graph_round(cases[i].rate, UNITS_SI), cases[i].si);
    }
}

TEST(round_rates_have_no_decimals)
{
    char text[FORMAT_SIZE];

    CHECK_STREQ(graph_format_round(text, 1, UNITS_IEC), "1 B/s");
    CHECK_STREQ(graph_format_round(text, 500, UNITS_IEC), "500 B/s");
    CHECK_STREQ(graph_format_round(text, 200 * KIB, UNITS_IEC), "200 KiB/s");
    CHECK_STREQ(graph_format_round(text, 5 * MIB, UNITS_IEC), "5 MiB/s");
    CHECK_STREQ(graph_format_round(text, 5000000, UNITS_SI), "5 MB/s");
}

static void follow(struct graph_scale *scale, uint64_t highest, int steps)
{
    for (int i = 0; i < steps; i++)
        graph_scale_follow(scale, highest, UNITS_IEC);
}

TEST(a_scale_grows_at_once)
{
    struct graph_scale scale = {};

    follow(&scale, 0, 1);
    CHECK_EQ(scale.top, KIB); /* silence is not blown up */
    follow(&scale, 3 * MIB, 1);
    CHECK_EQ(scale.top, 5 * MIB);
    follow(&scale, 5 * MIB + 1, 1);
    CHECK_EQ(scale.top, 10 * MIB);
}

TEST(a_scale_shrinks_late)
{
    struct graph_scale scale = {};

    follow(&scale, 90 * MIB, 1);
    CHECK_EQ(scale.top, 100 * MIB);
    follow(&scale, MIB, 9);
    CHECK_EQ(scale.top, 100 * MIB);
    follow(&scale, 60 * MIB, 1); /* which begins the count anew */
    follow(&scale, MIB, 9);
    CHECK_EQ(scale.top, 100 * MIB);
    follow(&scale, MIB, 1);
    CHECK_EQ(scale.top, 2 * MIB);
}

/* A rate that goes up and down around a round one must not make the scale jump with it. */
TEST(a_scale_does_not_jump)
{
    struct graph_scale scale = {};
    unsigned changes = 0;

    follow(&scale, 10 * MIB, 1);
    for (int i = 0; i < 1000; i++) {
        uint64_t before = scale.top;

        follow(&scale, 10 * MIB + (i % 40 < 20 ? MIB : -MIB), 1);
        changes += scale.top != before;
    }
    CHECK_EQ(changes, 1);
    CHECK_EQ(scale.top, 20 * MIB);
}

/* ---- series ---- */

#define SECOND(n) ((n) *USEC_PER_SEC)

static void add(struct series *series, uint64_t from, uint64_t until, uint64_t rx, uint64_t tx)
{
    series_add(series, from, until, (const uint64_t[]){rx, tx});
}

static long rate(const struct series *series, enum direction direction, uint64_t second)
{
    float value = series_at(series, direction, second);

    return isnan(value) ? -1 : lroundf(value);
}

TEST(samples_become_seconds)
{
    struct series series = {};

    CHECK_EQ(rate(&series, DIRECTION_RX, 100), -1);
    add(&series, SECOND(100), SECOND(101), 1000, 10);
    CHECK_EQ(rate(&series, DIRECTION_RX, 99), -1);
    CHECK_EQ(rate(&series, DIRECTION_RX, 100), 1000);
    CHECK_EQ(rate(&series, DIRECTION_TX, 100), 10);
    CHECK_EQ(rate(&series, DIRECTION_RX, 101), -1); /* not over */
    add(&series, SECOND(101), SECOND(105), 4000, 0);
    for (uint64_t second = 101; second < 105; second++) {
        CHECK_EQ(rate(&series, DIRECTION_RX, second), 1000);
        CHECK_EQ(rate(&series, DIRECTION_TX, second), 0);
    }
}

TEST(a_sample_over_the_second_is_divided)
{
    struct series series = {};

    add(&series, SECOND(10), SECOND(11) + 500000, 1500, 0);
    CHECK_EQ(rate(&series, DIRECTION_RX, 10), 1000);
    CHECK_EQ(rate(&series, DIRECTION_RX, 11), -1);
    add(&series, SECOND(11) + 500000, SECOND(12), 200, 0);
    CHECK_EQ(rate(&series, DIRECTION_RX, 11), 700);
}

TEST(a_hole_is_not_known)
{
    struct series series = {};

    add(&series, SECOND(10), SECOND(12), 2000, 0);
    add(&series, SECOND(14) + 1, SECOND(16), 5000, 0);
    CHECK_EQ(rate(&series, DIRECTION_RX, 11), 1000);
    CHECK_EQ(rate(&series, DIRECTION_RX, 12), -1);
    CHECK_EQ(rate(&series, DIRECTION_RX, 13), -1);
    CHECK_EQ(rate(&series, DIRECTION_RX, 14), -1); /* of which the beginning is missing */
    CHECK(rate(&series, DIRECTION_RX, 15) > 0);
}

TEST(time_does_not_run_backwards)
{
    struct series series = {};

    add(&series, SECOND(10), SECOND(12), 2000, 0);
    add(&series, SECOND(10), SECOND(11), 9000, 0);
    add(&series, SECOND(12), SECOND(12), 9000, 0);
    add(&series, SECOND(13), SECOND(12), 9000, 0);
    CHECK_EQ(rate(&series, DIRECTION_RX, 10), 1000);
    CHECK_EQ(rate(&series, DIRECTION_RX, 11), 1000);
}

TEST(the_oldest_is_forgotten)
{
    struct series series = {};

    for (uint64_t i = 0; i < 3 * SERIES_SECONDS; i++)
        add(&series, SECOND(i), SECOND(i + 1), i, 0);
    CHECK_EQ(rate(&series, DIRECTION_RX, 2 * SERIES_SECONDS), -1);
    CHECK_EQ(rate(&series, DIRECTION_RX, 2 * SERIES_SECONDS + 1), 2 * SERIES_SECONDS + 1);
    add(&series, SECOND(100 * SERIES_SECONDS), SECOND(100 * SERIES_SECONDS + 1), 7, 0);
    for (uint64_t i = 1; i < SERIES_SECONDS - 1; i++)
        CHECK_EQ(rate(&series, DIRECTION_RX, 100 * SERIES_SECONDS - i), -1);
    CHECK_EQ(rate(&series, DIRECTION_RX, 100 * SERIES_SECONDS), 7);
}

/* Whenever samples are taken, what is drawn adds up to what was transferred. */
TEST(no_byte_is_lost_in_between)
{
    struct series series = {};
    uint64_t state = 7, at = SECOND(1000), sum = 0, bytes, next;
    double drawn = 0;

    while (at < SECOND(1500)) {
        next = at + 1 + chance_below(&state, SECOND(3));
        bytes = chance_below(&state, 100000);
        add(&series, at, next, bytes, 0);
        sum += bytes;
        at = next;
    }
    next = (at / USEC_PER_SEC + 1) * USEC_PER_SEC;
    add(&series, at, next, 0, 0);
    for (uint64_t second = 1000; second < next / USEC_PER_SEC; second++)
        drawn += (double) series_at(&series, DIRECTION_RX, second);
    CHECK(fabs(drawn - (double) sum) < 1e-5 * (double) sum);
}

TEST(copies)
{
    struct series series = {};
    float rates[5];

    add(&series, SECOND(1), SECOND(2), 10, 100);
    add(&series, SECOND(2), SECOND(3), 20, 200);
    series_copy(&series, DIRECTION_TX, 2, rates, 5); /* from before there was time */
    CHECK(isnan(rates[0]) && isnan(rates[1]) && isnan(rates[2]));
    CHECK_EQ(rates[3], 100);
    CHECK_EQ(rates[4], 200);
    CHECK_EQ(series_highest(rates, 5), 200);
    CHECK_EQ(series_highest(rates, 3), 0);
}

int main(void)
{
    setlocale(LC_ALL, "C.UTF-8");
    return run_tests();
}
