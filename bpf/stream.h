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

/** What is needed to know how much was sent, read in this order: see stream_sent(). */
struct sent {
    __u64 acknowledged;
    __u32 oldest;
    __u32 next;
    __u32 written;
};

static __always_inline __u64 octets_sent(const struct sent *sent, int state, bool syn)
{
    __s64 octets = sent->acknowledged + (__u32) (sent->next - sent->oldest) - syn;

    if (fin_queued(state) && sent->next == sent->written)
        octets--;
    return octets > 0 ? octets : 0;
}

/**
 * Octets sent, each once: what is acknowledged and what is in flight, less our SYN (@syn: whether
 * it was counted as acknowledged, that is, whether we opened the connection) and our FIN.
 * bytes_sent - bytes_retrans would count segments that were dropped before they left.
 *
 * The order of the reads keeps a live reading from being too high by more than the FIN, whose
 * state shows before it is queued: hence the clamp, and hence values may step back by one.
 */
static __always_inline __u64 stream_sent(const struct tcp_sock *tp, int state, bool syn)
{
    struct sent sent;

    sent.acknowledged = READ_ONCE(tp->bytes_acked);
    sent.oldest = READ_ONCE(tp->snd_una);
    sent.next = READ_ONCE(tp->snd_nxt);
    sent.written = READ_ONCE(tp->write_seq);
    return octets_sent(&sent, state, syn);
}

/**
 * Whether a connection that leaves @state to close had transferred before its handshake ended (TCP
 * Fast Open): the state never showed that it was open.
 */
static __always_inline bool is_aborted_fast_open(const struct tcp_sock *tp, int state)
{
    return state == BPF_TCP_SYN_RECV && tp->bytes_received;
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
