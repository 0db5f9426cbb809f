/* SPDX-License-Identifier: MIT OR GPL-2.0-only */

/*
 * Exact accounting of TCP connections by port, for Linux 5.9 to 5.11, whose tracing programs have
 * neither socket storage nor compare-and-swap.
 *
 * Accounts are in a hash map by the socket's address. Whoever removes one, removes it once, and
 * adds what the connection came to to its port's counters. A walk can't move anything there, as a
 * close may do the same at that moment; it sums up all open connections anew, in counters of its
 * own. User space adds the two: see read_closed() in src/daemon/probe-bpf.c.
 *
 * These kernels do not skip programs that interrupt themselves, so one tracepoint is enough.
 */

#include "kernel.h"
#include "maps.h"
#include "portmon-abi.h"
#include "stream.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Open connections at most. Each walk looks at as many buckets, however few there are. Those beyond
 * it are not counted, which is told. */
#define MAX_SOCKETS 65536

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, MAX_SOCKETS);
    __type(key, __u64);
    __type(value, struct portmon_socket);
} sockets SEC(".maps");

/* What the last walk found open, in the same pages as the counters. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, PORTMON_MAX_PAGES);
    __type(key, __u32);
    __type(value, struct portmon_page);
} live SEC(".maps");

/**
 * Makes an account. Returns false if there is no room for it, or if there is one. But when a
 * connection @opens, that one is of a socket that was at this address before: its end was missed.
 */
static __always_inline bool make_account(const struct sock *sk, struct portmon_socket *account,
                                         bool opens)
{
    __u64 key = (__u64) sk;
    int r; /* not long: before Linux 6.4 the upper half is not that of a negative number */

    account->opened_nsec = account->tick_nsec = bpf_ktime_get_boot_ns();
    account->phase = PORTMON_PHASE_OPEN;
    r = bpf_map_update_elem(&sockets, &key, account, BPF_NOEXIST);
    if (r == -EEXIST && opens) {
        COUNT(unsettled);
        r = bpf_map_update_elem(&sockets, &key, account, BPF_EXIST);
    }
    if (r && r != -EEXIST)
        COUNT(storage_failures);
    return !r;
}

static __always_inline void on_open(const struct sock *sk, const struct tcp_sock *tp, bool answered)
{
    bool active = answered || !stream_accepted(tp);
    struct portmon_counters *counters;
    struct portmon_socket account = {
        .port = active ? bpf_ntohs(sk->__sk_common.skc_dport) : stream_local_port(tp),
        .role = active ? PORTMON_ROLE_CLIENT : PORTMON_ROLE_SERVER,
    };

    if (!is_watched(account.port) || (active && stream_stays_home(sk)))
        return;
    counters = counters_of(account.port, account.role);
    account.first_octet = stream_first_octet(tp, active);
    if (counters && make_account(sk, &account, true))
        ADD(counters->opened, 1);
}

static __always_inline void on_close(const struct sock *sk, const struct tcp_sock *tp, int state)
{
    __u64 key = (__u64) sk;
    struct portmon_socket *found = bpf_map_lookup_elem(&sockets, &key), account;
    struct portmon_counters *counters;
    __u64 segments;

    if (!found)
        return;
    account = *found;
    /* Removed before it is added: a walk that finds it must not find it in both. */
    if (bpf_map_delete_elem(&sockets, &key)) {
        COUNT(unsettled);
        return;
    }
    counters = counters_of(account.port, account.role);
    if (!counters)
        return;
    segments = stream_segments(tp);
    ADD(counters->rx_bytes, stream_received(sk, tp) - account.rx_baseline);
    ADD(counters->tx_bytes, stream_sent(sk, tp, state, account.first_octet) - account.tx_baseline);
    ADD(counters->rx_segments, (__u32) ((segments >> 32) - (account.segments >> 32)));
    ADD(counters->tx_segments, (__u32) (segments - account.segments));
    ADD(counters->closed, 1);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(portmon_state_1, struct sock *sk, int old, int new)
{
    bool opens = stream_opens(old, new);
    struct tcp_sock *tp;

    if ((!opens && new != BPF_TCP_CLOSE) || sk->sk_protocol != IPPROTO_TCP)
        return 0;
    tp = bpf_skc_to_tcp_sock(sk);
    if (!tp)
        return 0;
    if (opens || is_aborted_fast_open(tp, old))
        on_open(sk, tp, old == BPF_TCP_SYN_SENT);
    if (new == BPF_TCP_CLOSE)
        on_close(sk, tp, old);
    return 0;
}

/* ---- walks ---- */

/**
 * Whether a socket had not closed yet when this was asked, so that what was read of it before is
 * its own. The address alone does not tell, as another socket may have come to it.
 */
static __always_inline bool still_open(__u64 key, const struct portmon_socket *account)
{
    struct portmon_socket *now = bpf_map_lookup_elem(&sockets, &key);

    return now && now->opened_nsec == account->opened_nsec;
}

SEC("iter/bpf_map_elem")
int portmon_walk(struct bpf_iter__bpf_map_elem *ctx)
{
    struct portmon_control *order = ONLY(control);
    struct portmon_socket *account = ctx->value;
    const __u64 *key = ctx->key;
    struct portmon_page *page;
    unsigned long flags;
    struct sent sent;
    int state;

    if (!key || !account || !order)
        return 0;

    const struct sock *sk = (const struct sock *) *key;
    const struct tcp_sock *tp = (const struct tcp_sock *) sk;
    __u64 received = BPF_CORE_READ(tp, bytes_received);
    __u32 in = BPF_CORE_READ(tp, segs_in), out = BPF_CORE_READ(tp, segs_out);

    sent.acknowledged = BPF_CORE_READ(tp, bytes_acked);
    sent.next = BPF_CORE_READ(tp, snd_nxt);
    sent.written = BPF_CORE_READ(tp, write_seq);
    state = BPF_CORE_READ(sk, __sk_common.skc_state); /* after them, see stream_sent() */
    flags = BPF_CORE_READ(sk, __sk_common.skc_flags);
    if (!is_open(state) || !still_open(*key, account))
        return 0;
    account->rx = octets_received(received, flags) << 1;
    account->tx = octets_sent(&sent, state, account->first_octet) << 1;
    measure_rates(account, order->tick_nsec);
    if (is_to_be_listed(account, order)) {
        struct portmon_connection c;

        describe(&c, sk, account);
        if (still_open(*key, account) && bpf_seq_write(ctx->meta->seq, &c, sizeof(c)))
            return 0; /* out of room: the kernel makes some and comes by once more */
    }

    __u32 number = account->port / PORTMON_PAGE_PORTS;
    struct portmon_counters *counters;

    page = bpf_map_lookup_elem(&live, &number);
    if (!page)
        return 0;
    counters = &page->port[account->port % PORTMON_PAGE_PORTS][account->role % _PORTMON_ROLE_MAX];
    /* Walks never overlap, so these need no atomics. */
    if (counters->live_walk != order->walk) {
        __builtin_memset(counters, 0, sizeof(*counters));
        counters->live_walk = order->walk;
    }
    counters->rx_bytes += (account->rx >> 1) - account->rx_baseline;
    counters->tx_bytes += (account->tx >> 1) - account->tx_baseline;
    counters->rx_segments += in - (__u32) (account->segments >> 32);
    counters->tx_segments += out - (__u32) account->segments;
    counters->live++;
    COUNT(walked);
    return 0;
}

/* ---- connections that were open before their port was watched ---- */

/** In the reader's own namespace. */
SEC("iter/tcp")
int portmon_scan_tcp(struct bpf_iter__tcp *ctx)
{
    struct sock_common *skc = ctx->sk_common;
    struct tcp_sock *tp = skc ? bpf_skc_to_tcp_sock(skc) : NULL;

    COUNT(scanned);
    if (!tp)
        return 0; /* TIME_WAIT, or a handshake that goes on */

    const struct sock *sk = (const struct sock *) tp;
    int state = sk->__sk_common.skc_state;
    bool accepted = stream_accepted(tp);
    struct portmon_counters *counters;
    struct portmon_socket account = {
        .port = accepted ? sk->__sk_common.skc_num : bpf_ntohs(sk->__sk_common.skc_dport),
        .role = accepted ? PORTMON_ROLE_SERVER : PORTMON_ROLE_CLIENT,
        .flags = PORTMON_SOCKET_ADOPTED,
    };

    if (!is_open(state) || !is_watched(account.port) || (!accepted && stream_stays_home(sk)))
        return 0;
    counters = counters_of(account.port, account.role);
    if (!counters)
        return 0;
    account.rx_baseline = account.tick_rx = stream_received(sk, tp);
    account.first_octet = stream_first_octet(tp, !accepted);
    account.tx_baseline = account.tick_tx = stream_sent(sk, tp, 0, account.first_octet);
    account.rx = account.rx_baseline << 1;
    account.tx = account.tx_baseline << 1;
    account.segments = stream_segments(tp);
    if (make_account(sk, &account, false))
        ADD(counters->adopted, 1);
    return 0;
}
