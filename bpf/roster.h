/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef PORTMON_ROSTER_H
#define PORTMON_ROSTER_H

/*
 * Some kernels refuse iterators over a map. There, what walks need of an account is on the roster,
 * a hash map by the socket's address, as long as the connection is open.
 */

#include "kernel.h"
#include "maps.h"
#include "portmon-abi.h"

#include <bpf/bpf_helpers.h>

/* Connections on it at most; the loader makes it more on a large host. Each walk looks at as many
 * buckets, however few there are. */
#define MAX_ENLISTED (1 << 17)

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, MAX_ENLISTED);
    __type(key, __u64);
    __type(value, struct portmon_socket);
} roster SEC(".maps");

/* Whether there is one; set before these are loaded. */
const volatile bool keeps_roster SEC(".rodata.variant");

/**
 * Puts an account on the roster; its own figures stay where they are from here on.
 *
 * The kernel gives the memory of an entry to another connection as soon as it is struck off, also
 * while a walk looks at it. So the words that walks move carry what tells one from the next.
 */
static __always_inline void enlist(const struct sock *sk, struct portmon_socket *account)
{
    __u64 key = (__u64) sk, generation = (__u64) bpf_get_prandom_u32() << GENERATION_SHIFT;

    if (!keeps_roster)
        return;
    account->rx |= generation;
    account->tx |= generation;
    if (bpf_map_update_elem(&roster, &key, account, BPF_ANY))
        COUNT(storage_failures);
}

/** Where the figures of an account are: on the roster, or where that has no room, in itself. */
static __always_inline struct portmon_socket *figures_of(const struct sock *sk,
                                                         struct portmon_socket *account)
{
    __u64 key = (__u64) sk;

    return (keeps_roster ? bpf_map_lookup_elem(&roster, &key) : NULL) ?: account;
}

static __always_inline void strike_off(const struct sock *sk)
{
    __u64 key = (__u64) sk;

    if (keeps_roster)
        bpf_map_delete_elem(&roster, &key);
}

#endif
