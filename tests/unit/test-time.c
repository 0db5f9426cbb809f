/* SPDX-License-Identifier: MIT */
#include "shared/time-util.h"

#include "shared/cleanup.h"
#include "test.h"

TEST(moments_earlier_and_later)
{
    static const struct {
        uint64_t usec;
        int64_t shift;
        uint64_t wanted;
    } cases[] = {
        {100, 0, 100},
        {100, 50, 150},
        {100, -50, 50},
        {100, -100, 0},
        {100, -101, 0},
        {0, -1, 0},
        {100, INT64_MIN, 0},
        {UINT64_MAX, INT64_MIN, INT64_MAX},
        {0, INT64_MAX, INT64_MAX},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        CONTEXT("case %zu", i);
        CHECK(usec_shift(cases[i].usec, cases[i].shift) == cases[i].wanted);
    }
    CHECK_EQ(usec_before(100, 30), 70);
    CHECK_EQ(usec_before(100, 100), 0);
    CHECK_EQ(usec_before(100, UINT64_MAX), 0);
}

TEST(multiples)
{
    CHECK_EQ(usec_floor(0, 300), 0);
    CHECK_EQ(usec_floor(299, 300), 0);
    CHECK_EQ(usec_floor(300, 300), 300);
    CHECK_EQ(usec_floor(899, 300), 600);
}

RUN_TESTS()
