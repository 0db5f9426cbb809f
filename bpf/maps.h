/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef PORTMON_MAPS_H
#define PORTMON_MAPS_H

/* What both objects have: maps, how to find in them, and what is known of a watched socket. */

#include "kernel.h"
#include "portmon-abi.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, PORTMON_MAX_PAGES);
    __type(key, __u32);
    __type(value, struct portmon_page);
} pages SEC(".maps");

/* Of its own, so that it can go on when the others are replaced. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct portmon_watch);
} watch SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct portmon_control);
} control SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct portmon_health);
} health SEC(".maps");

#define ADD(counter, amount) __sync_fetch_and_add(&(counter), (amount))

/* The maps of one element, each found by key 0. */
#define ONLY(map)                                                \
    ({                                                           \
        __u32 zero = 0;                                          \
        (typeof(*map.value) *) bpf_map_lookup_elem(&map, &zero); \
    })

#define COUNT(what)                              \
    do {                                         \
        struct portmon_health *h = ONLY(health); \
        if (h)                                   \
            ADD(h->what, 1);                     \
    } while (0)

static __always_inline bool is_watched(__u16 port)
{
    struct portmon_watch *list = ONLY(watch);
    __u32 index = port;

    barrier_var(index); /* Linux 5.10 forgets in a byte swap that it has 16 bits; clang does not */
    return list && list->watched[index & 0xffff];
}

/** The counters of a watched port, or NULL if it was never watched. */
static __always_inline struct portmon_counters *counters_of(__u16 port, __u8 role)
{
    __u32 key = port / PORTMON_PAGE_PORTS;
    struct portmon_page *page = bpf_map_lookup_elem(&pages, &key);

    if (!page)
        return NULL;
    return &page->port[port % PORTMON_PAGE_PORTS][role % _PORTMON_ROLE_MAX];
}

/** Whether a connection is established, if only in one direction. */
static __always_inline bool is_open(int state)
{
    switch (state) {
    case BPF_TCP_ESTABLISHED:
    case BPF_TCP_FIN_WAIT1:
    case BPF_TCP_FIN_WAIT2:
    case BPF_TCP_CLOSE_WAIT:
    case BPF_TCP_LAST_ACK:
    case BPF_TCP_CLOSING:
        return true;
    default:
        return false;
    }
}

/* Parts of an account's word, with the octets between them */
#define GENERATION_SHIFT 52
#define GENERATION       (0xfffULL << GENERATION_SHIFT)
#define SETTLED          1ULL

static __always_inline __u64 octets_of(__u64 word)
{
    return (word & ~GENERATION) >> 1;
}

static __always_inline void measure_rates(struct portmon_socket *account, __u64 tick_nsec)
{
    __u64 rx = octets_of(account->rx), tx = octets_of(account->tx);
    __u64 elapsed = tick_nsec - account->tick_nsec;

    if ((__s64) elapsed <= 0)
        return;
    account->rx_rate = (rx - account->tick_rx) * 1000000000 / elapsed;
    account->tx_rate = (tx - account->tick_tx) * 1000000000 / elapsed;
    account->tick_rx = rx;
    account->tick_tx = tx;
    account->tick_nsec = tick_nsec;
}

static __always_inline bool is_to_be_listed(const struct portmon_socket *account,
                                            const struct portmon_control *order)
{
    return order->list && (!order->list_port || order->list_port == account->port);
}

/** Writes down an open connection. @sk is only read, so any pointer will do. */
static __always_inline void describe(struct portmon_connection *ret, const struct sock *sk,
                                     const struct portmon_socket *account)
{
    const struct tcp_sock *tp = (const void *) sk;
    __be32 *local = (__be32 *) ret->local_address, *remote = (__be32 *) ret->remote_address;

    *ret = (struct portmon_connection){
        .socket = (__u64) sk,
        .rx_bytes = octets_of(account->rx) - account->rx_baseline,
        .tx_bytes = octets_of(account->tx) - account->tx_baseline,
        .rx_rate = account->rx_rate,
        .tx_rate = account->tx_rate,
        .opened_nsec = account->opened_nsec,
        .rtt_usec = BPF_CORE_READ(tp, srtt_us) >> 3,
        .retransmissions = BPF_CORE_READ(tp, total_retrans),
        .network_namespace = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum),
        .local_port = BPF_CORE_READ(sk, __sk_common.skc_num),
        .remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport)),
        .port = account->port,
        .role = account->role,
        .state = BPF_CORE_READ(sk, __sk_common.skc_state),
        .flags = account->flags,
        .family = BPF_CORE_READ(sk, __sk_common.skc_family),
    };
    if (ret->family == AF_INET) {
        local[2] = remote[2] = bpf_htonl(0xffff);
        local[3] = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
        remote[3] = BPF_CORE_READ(sk, __sk_common.skc_daddr);
    } else {
        BPF_CORE_READ_INTO(&ret->local_address, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
        BPF_CORE_READ_INTO(&ret->remote_address, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32);
    }
}

#endif
