/* SPDX-License-Identifier: MIT */
#include "shared/traffic.h"

#include <errno.h>
#include <string.h>

static const char *const role_names[_ROLE_MAX] = {
    [ROLE_SERVER] = "server",
    [ROLE_CLIENT] = "client",
};

const char *role_to_string(enum role role)
{
    return role_names[role];
}

int role_from_string(const char *name)
{
    for (int role = 0; role < _ROLE_MAX; role++)
        if (strcmp(role_names[role], name) == 0)
            return role;
    return -EINVAL;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void traffic_add(struct traffic *sum, const struct traffic *more)
{
    sum->rx_bytes += more->rx_bytes;
    sum->tx_bytes += more->tx_bytes;
    sum->rx_packets += more->rx_packets;
    sum->tx_packets += more->tx_packets;
    sum->connections += more->connections;
    sum->peak_rx_rate = higher(sum->peak_rx_rate, more->peak_rx_rate);
    sum->peak_tx_rate = higher(sum->peak_tx_rate, more->peak_tx_rate);
}

bool traffic_is_empty(const struct traffic *traffic)
{
    static const struct traffic nothing;

    return memcmp(traffic, &nothing, sizeof(nothing)) == 0;
}
