/* SPDX-License-Identifier: MIT */
#include "shared/gap.h"

#include "shared/cleanup.h"
#include "test.h"

#include <errno.h>

TEST(every_reason_has_a_name_and_words)
{
    static const char *const bad[] = {"", "Stopped", "gap", "stopped "};

    for (int reason = 0; reason < _GAP_REASON_MAX; reason++) {
        CONTEXT("reason %d", reason);
        REQUIRE(gap_reason_to_string(reason) && gap_reason_explain(reason));
        CHECK_EQ(gap_reason_from_string(gap_reason_to_string(reason)), reason);
        CHECK(strlen(gap_reason_explain(reason)) > strlen(gap_reason_to_string(reason)));
    }
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        CONTEXT("\"%s\"", bad[i]);
        CHECK_EQ(gap_reason_from_string(bad[i]), -EINVAL);
    }
}

TEST(a_list_keeps_what_is_added)
{
    _cleanup_gap_list_ struct gap_list list = {};

    for (uint64_t i = 0; i < 100; i++)
        CHECK_EQ(gap_list_add(&list, &(struct gap){i, 2 * i, i % _GAP_REASON_MAX}), 0);
    REQUIRE(list.n == 100);
    for (uint64_t i = 0; i < 100; i++) {
        CHECK_EQ(list.gaps[i].from_usec, i);
        CHECK_EQ(list.gaps[i].until_usec, 2 * i);
        CHECK_EQ(list.gaps[i].reason, i % _GAP_REASON_MAX);
    }
    gap_list_clear(&list);
    CHECK_EQ(list.n, 0);
    CHECK_EQ(gap_list_add(&list, &(struct gap){1, 2, GAP_CLOCK}), 0);
    CHECK_EQ(list.n, 1);
}

RUN_TESTS()
