/* SPDX-License-Identifier: MIT OR GPL-2.0-only */

/*
 * What portmon does not do, to measure what that would cost: the classical design, where a program
 * runs for every message that is sent or received and adds its length to the counter of the port.
 * Others hang it on tcp_sendmsg() and tcp_cleanup_rbuf() by kprobes; these tracepoints are
 * cheaper, and they know what a call returned, not only what was asked of it.
 */

#include "kernel.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct counters {
    __u64 rx_bytes;
    __u64 tx_bytes;
};

/* By local port, as for a server. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 65536);
    __type(key, __u32);
    __type(value, struct counters);
} messages SEC(".maps");

static __always_inline struct counters *counters_of(const struct sock *sk)
{
    __u32 port = sk->__sk_common.skc_num;

    return sk->sk_protocol == IPPROTO_TCP ? bpf_map_lookup_elem(&messages, &port) : NULL;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(message_sent, struct sock *sk, int length, int flags)
{
    struct counters *counters = length > 0 ? counters_of(sk) : NULL;

    if (counters)
        __sync_fetch_and_add(&counters->tx_bytes, length);
    return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(message_received, struct sock *sk, int length, int flags)
{
    struct counters *counters = length > 0 ? counters_of(sk) : NULL;

    if (counters)
        __sync_fetch_and_add(&counters->rx_bytes, length);
    return 0;
}
