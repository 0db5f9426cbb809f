/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
#ifndef PORTMON_STREAM_H
#define PORTMON_STREAM_H

/*
 * What the kernel's own counters of a TCP socket say about its stream, and what kind of connection
 * it is. Each rule was found by comparing with a packet capture over every way to open, use and
 * close a connection; the exactness suite repeats the comparison.
 */

#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define LOOPBACK_IFINDEX 1

/* A value that another CPU may change meanwhile is read once. */
#define READ_ONCE(x)     (*(const volatile typeof(x) *) &(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *) &(x) = (v))

/** Whether our FIN is queued in @state, so that it may be among the octets sent. */
static __always_inline bool fin_queued(int state)
{
    switch (state) {
    case BPF_TCP_FIN_WAIT1:
    case BPF_TCP_FIN_WAIT2:
    case BPF_TCP_CLOSING:
    case BPF_TCP_LAST_ACK:
    case BPF_TCP_TIME_WAIT:
        return true;
    default:
        return false;
    }
}

/**
 * Octets received in order. bytes_received counts the peer's FIN as one; SOCK_DONE is set with it.
 * (The state does not tell: a FIN is accepted in states that leave no trace of it.)
 */
static __always_inline __u64 octets_received(__u64 bytes_received, unsigned long flags)
{
    int done = bpf_core_enum_value(enum sock_flags, SOCK_DONE);
    __u64 fin = (flags >> done) & 1;

    return bytes_received > fin ? bytes_received - fin : 0;
}

static __always_inline __u64 stream_received(const struct sock *sk, const struct tcp_sock *tp)
{
    __u64 octets = READ_ONCE(tp->bytes_received);

    return octets_received(octets, READ_ONCE(sk->__sk_common.skc_flags));
}

/**
 * The sequence number of the first octet we send: constant for the connection's life. @active:
 * whether we opened it, so that our SYN is among the octets that were acknowledged. Asked again
 * because the two counters change one after the other, and a scan holds no lock.
 */
static __always_inline __u32 stream_first_octet(const struct tcp_sock *tp, bool active)
{
    __u32 first, again = READ_ONCE(tp->snd_una) - (__u32) READ_ONCE(tp->bytes_acked);

    for (int i = 0; i < 8; i++) {
        first = again;
        again = READ_ONCE(tp->snd_una) - (__u32) READ_ONCE(tp->bytes_acked);
        if (first == again)
            break;
    }
    return again + active;
}

/** What is needed to know how much was sent. */
struct sent {
    __u64 acknowledged;
    __u64 data; /* of all segments that were made, each once: no FIN */
    __u32 next;
    __u32 written;
};

/* Sequence numbers wrap. What was acknowledged tells how often; it may be older or newer than the
 * other two. In CLOSE, whether our FIN is among them is known only from what the segments held. */
static __always_inline __u64 octets_sent(const struct sent *sent, int state, __u32 first)
{
    __s64 octets = sent->acknowledged + (__s32) (sent->next - first - (__u32) sent->acknowledged);
    bool queued = state == BPF_TCP_CLOSE ? octets > (__s64) sent->data : fin_queued(state);

    if (queued && sent->next == sent->written)
        octets--;
    return octets > 0 ? octets : 0;
}

/**
 * Octets sent, each once: what is acknowledged and what is in flight, from the @first on, less our
 * FIN. bytes_sent - bytes_retrans would count segments that were dropped before they left.
 *
 * @leaving: the state in which it closes; CLOSE, if it has closed and nobody was told; or 0 while
 * it is open and perhaps not locked. Then the state is looked at last: it changes before a FIN is
 * queued, so this is one too low for a moment rather than too high.
 */
static __always_inline __u64 stream_sent(const struct sock *sk, const struct tcp_sock *tp,
                                         int leaving, __u32 first)
{
    struct sent sent;

    sent.acknowledged = READ_ONCE(tp->bytes_acked);
    sent.next = READ_ONCE(tp->snd_nxt);
    sent.written = READ_ONCE(tp->write_seq);
    sent.data = tp->bytes_sent - tp->bytes_retrans;
    return octets_sent(&sent, leaving ?: READ_ONCE(sk->__sk_common.skc_state), first);
}

/**
 * Whether a connection that leaves @state to close had transferred before its handshake ended (TCP
 * Fast Open): the state never showed that it was open.
 */
static __always_inline bool is_aborted_fast_open(const struct tcp_sock *tp, int state)
{
    return state == BPF_TCP_SYN_RECV && tp->bytes_received;
}

/** Whether a socket that closed was disconnected, so that its counters are gone. */
static __always_inline bool stream_cleared(const struct tcp_sock *tp)
{
    return !tp->segs_in;
}

/** The local port, also of a socket that closes, which has given its skc_num back. */
static __always_inline __u16 stream_local_port(const struct tcp_sock *tp)
{
    return bpf_ntohs(((const struct inet_sock *) tp)->inet_sport);
}

/** Segments in and out as one word, so that both change in one compare-and-swap. */
static __always_inline __u64 stream_segments(const struct tcp_sock *tp)
{
    return (__u64) READ_ONCE(tp->segs_in) << 32 | READ_ONCE(tp->segs_out);
}

/**
 * Whether an open connection was accepted, not opened from here. A socket made by an incoming SYN
 * remembers the interface it came by as its multicast interface; nothing else can set that on a
 * stream socket.
 */
static __always_inline bool stream_accepted(const struct tcp_sock *tp)
{
    const struct inet_sock *inet = (const void *) tp;

    if (inet->mc_index)
        return true;
    if (bpf_core_field_exists(inet->pinet6)) {
        const struct ipv6_pinfo *ipv6 = inet->pinet6;

        return ipv6 && ipv6->mcast_oif;
    }
    return false;
}

/** Whether a change of state establishes a connection. */
static __always_inline bool stream_opens(int old, int new)
{
    return new == BPF_TCP_ESTABLISHED ||
           /* closed by its owner before the handshake ended (TCP Fast Open) */
           (old == BPF_TCP_SYN_RECV && new == BPF_TCP_FIN_WAIT1);
}

static __always_inline bool is_loopback4(__be32 address)
{
    return (address & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
}

/**
 * Whether the peer of a connection that was opened here is on this host and in this namespace, so
 * that its accepted end is counted already.
 */
static __always_inline bool stream_stays_home(const struct sock *sk)
{
    const struct sock_common *skc = &sk->__sk_common;
    const struct dst_entry *route = sk->sk_dst_cache;

    if (route && route->dev && route->dev->ifindex == LOOPBACK_IFINDEX)
        return true;
    if (skc->skc_family == AF_INET)
        return skc->skc_daddr == skc->skc_rcv_saddr || is_loopback4(skc->skc_daddr);

    const __be32 *local = skc->skc_v6_rcv_saddr.in6_u.u6_addr32;
    const __be32 *remote = skc->skc_v6_daddr.in6_u.u6_addr32;
    bool same = local[0] == remote[0] && local[1] == remote[1] && local[2] == remote[2] &&
                local[3] == remote[3];
    if (same)
        return true;
    if (remote[0] || remote[1])
        return false;
    if (remote[2] == bpf_htonl(0xffff))
        return is_loopback4(remote[3]);
    return remote[2] == 0 && remote[3] == bpf_htonl(1);
}

#endif
