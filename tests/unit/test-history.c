/* SPDX-License-Identifier: MIT */
#include "shared/history.h"

#include "test.h"
#include "unit/util.h"

#define N_STARTS 200

TEST(nothing_is_a_history)
{
    _cleanup_history_ struct history history = {};
    struct traffic sum = {1, 2, 3, 4, 5, 6, 7};

    history_sum(&history, &sum);
    CHECK(traffic_is_empty(&sum));
    history_clear(&history);
    CHECK_EQ(history.n, 0);
}

TEST(the_same_beginning_is_the_same_row)
{
    _cleanup_history_ struct history history = {};
    const struct traffic a = {1, 2, 3, 4, 5, 600, 7}, b = {10, 20, 30, 40, 50, 60, 70};
    const struct traffic wanted = {11, 22, 33, 44, 55, 600, 70};

    CHECK_EQ(history_add(&history, 300, &a), 0);
    CHECK_EQ(history_add(&history, 300, &b), 0);
    REQUIRE(history.n == 1);
    CHECK_EQ(history.rows[0].start_usec, 300);
    CHECK(memcmp(&history.rows[0].traffic, &wanted, sizeof(wanted)) == 0);
    history_clear(&history);
    CHECK_EQ(history.n, 0);
    CHECK_EQ(history_add(&history, 600, &a), 0);
    CHECK_EQ(history.n, 1);
}

/** Rows added in any order come out as an array indexed by their beginning says. */
static void check_order(const size_t *order, size_t n)
{
    _cleanup_history_ struct history history = {};
    struct traffic wanted[N_STARTS] = {}, total = {}, sum;
    size_t row = 0;

    for (size_t i = 0; i < n; i++) {
        const struct traffic traffic = {i + 1, i * 2, i * 3, i * 4, 1, i, n - i};

        CHECK_EQ(history_add(&history, order[i], &traffic), 0);
        traffic_add(&wanted[order[i]], &traffic);
        traffic_add(&total, &traffic);
    }
    for (size_t start = 0; start < N_STARTS; start++) {
        if (traffic_is_empty(&wanted[start]))
            continue;
        REQUIRE(row < history.n);
        CHECK_EQ(history.rows[row].start_usec, start);
        CHECK(memcmp(&history.rows[row].traffic, &wanted[start], sizeof(wanted[start])) == 0);
        row++;
    }
    CHECK_EQ(history.n, row);
    history_sum(&history, &sum);
    CHECK(memcmp(&sum, &total, sizeof(sum)) == 0);
}

TEST(rows_come_out_in_order)
{
    size_t order[2 * N_STARTS];
    uint64_t state = 1;

    for (size_t i = 0; i < N_STARTS; i++)
        order[i] = i;
    check_order(order, N_STARTS);
    for (size_t i = 0; i < N_STARTS; i++)
        order[i] = N_STARTS - 1 - i;
    check_order(order, N_STARTS);

    for (size_t round = 0; round < 200; round++) {
        size_t n = chance_below(&state, ELEMENTSOF(order) + 1);

        for (size_t i = 0; i < n; i++)
            order[i] = chance_below(&state, N_STARTS);
        CONTEXT("round %zu", round);
        check_order(order, n);
    }
}

RUN_TESTS()
