/* SPDX-License-Identifier: MIT */
#include "shared/traffic.h"

#include "shared/cleanup.h"
#include "test.h"

#include <errno.h>
#include <stddef.h>

TEST(amounts_add_up_and_the_higher_peak_stays)
{
    static const struct traffic empty;
    struct traffic sum = {1, 2, 3, 4, 5, 600, 7};
    const struct traffic more = {10, 20, 30, 40, 50, 60, 70};
    const struct traffic wanted = {11, 22, 33, 44, 55, 600, 70};

    traffic_add(&sum, &more);
    CHECK(memcmp(&sum, &wanted, sizeof(sum)) == 0);
    traffic_add(&sum, &empty);
    CHECK(memcmp(&sum, &wanted, sizeof(sum)) == 0);
}

TEST(anything_is_not_empty)
{
    static const size_t members[] = {
        offsetof(struct traffic, rx_bytes),     offsetof(struct traffic, tx_bytes),
        offsetof(struct traffic, rx_packets),   offsetof(struct traffic, tx_packets),
        offsetof(struct traffic, connections),  offsetof(struct traffic, peak_rx_rate),
        offsetof(struct traffic, peak_tx_rate),
    };

    CHECK(traffic_is_empty(&(struct traffic){}));
    CHECK_EQ(ELEMENTSOF(members) * sizeof(uint64_t), sizeof(struct traffic));
    for (size_t i = 0; i < ELEMENTSOF(members); i++) {
        struct traffic traffic = {};

        CONTEXT("member %zu", i);
        *(uint64_t *) ((char *) &traffic + members[i]) = 1;
        CHECK(!traffic_is_empty(&traffic));
    }
}

TEST(names_of_roles)
{
    static const char *const bad[] = {"", "Server", "servers", "both"};

    CHECK_STREQ(role_to_string(ROLE_SERVER), "server");
    CHECK_STREQ(role_to_string(ROLE_CLIENT), "client");
    CHECK_EQ(role_from_string("server"), ROLE_SERVER);
    CHECK_EQ(role_from_string("client"), ROLE_CLIENT);
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        CONTEXT("\"%s\"", bad[i]);
        CHECK_EQ(role_from_string(bad[i]), -EINVAL);
    }
}

RUN_TESTS()
