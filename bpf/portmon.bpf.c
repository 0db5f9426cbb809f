/* SPDX-License-Identifier: MIT OR GPL-2.0-only */

/*
 * Exact accounting of TCP connections by port, for Linux 5.12 and later.
 *
 * No program runs for a packet or a system call. A watched connection gets an account (socket
 * storage) when it is established; walks move what its kernel counters say to its port's counters;
 * closing moves the rest. In between nothing happens.
 *
 * Two kinds of programs report opening and closing, and either may come first or alone:
 *   - sock_ops on the cgroup root, which loses no event;
 *   - tp_btf/inet_sock_set_state twice, for sockets that sock_ops does not see. The kernel skips a
 *     tracing program that interrupts itself, and then the other copy runs.
 * A third settles what closed unseen, when its socket is destroyed.
 * So every step is idempotent: phases and amounts change by compare-and-swap, and only the winner
 * adds to the port's counters.
 */

#include "kernel.h"
#include "maps.h"
#include "portmon-abi.h"
#include "roster.h"
#include "stream.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
    __uint(type, BPF_MAP_TYPE_SK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, struct portmon_socket);
} sockets SEC(".maps");

/* How often a closing program tries against walkers before it counts the close as unsettled. The
 * only rivals are walks, and a walk tries once per socket. */
#define SETTLE_ATTEMPTS 16

/**
 * Moves an account to @octets, from what was @seen of it before they were read. Bit 0 of an account
 * is set when the connection closes and settles it for good: a walk that read the socket before
 * must not move it afterwards. Walks only move upwards and leave a contended account to the next
 * walk; closing knows the truth and may correct a live reading that was one too high.
 *
 * Returns what the port's counter has to grow by.
 */
static __always_inline __s64 advance(__u64 *account, __u64 seen, __u64 octets, bool settle)
{
    for (int i = 0; i < SETTLE_ATTEMPTS; i++) {
        __u64 target = (seen & GENERATION) | octets << 1 | settle, found;

        if ((seen & SETTLED) || (!settle && target <= seen))
            return 0;
        found = __sync_val_compare_and_swap(account, seen, target);
        if (found == seen)
            return octets - octets_of(seen);
        COUNT(contended);
        if (!settle)
            return 0;
        seen = found;
    }
    COUNT(unsettled);
    return 0;
}

/** As advance(), for the two 32-bit counters of segments, which wrap but never step back. */
static __always_inline void advance_segments(struct portmon_socket *account, __u64 seen,
                                             __u64 segments, bool settle,
                                             struct portmon_counters *counters)
{
    for (int i = 0; i < SETTLE_ATTEMPTS; i++) {
        __u32 in = (segments >> 32) - (seen >> 32), out = segments - seen;
        __u64 found;

        if ((__s32) in < 0 || (__s32) out < 0 || (!in && !out))
            return;
        found = __sync_val_compare_and_swap(&account->segments, seen, segments);
        if (found == seen) {
            ADD(counters->rx_segments, in);
            ADD(counters->tx_segments, out);
            return;
        }
        if (!settle)
            return;
        seen = found;
    }
}

/**
 * Moves what a connection has transferred to its port's counters: so far, or to its end, if it is
 * @leaving a state to close. Returns false if a walk has come to an entry of the roster that is
 * another connection's by now.
 */
static __always_inline bool account_stream(const struct sock *sk, const struct tcp_sock *tp,
                                           struct portmon_socket *account,
                                           struct portmon_counters *counters, int leaving)
{
    __u64 seen_rx = READ_ONCE(account->rx), seen_tx = READ_ONCE(account->tx);
    __u64 seen_segments = READ_ONCE(account->segments);
    __u64 received = READ_ONCE(tp->bytes_received);
    __u64 sent = stream_sent(sk, tp, leaving, account->first_octet);
    __u64 segments = stream_segments(tp);
    __s64 amount;

    /* That there is a FIN among them shows a moment after it was counted, so this comes late. */
    received = octets_received(received, READ_ONCE(sk->__sk_common.skc_flags));
    if (!leaving && keeps_roster && figures_of(sk, NULL) != account)
        return false;
    amount = advance(&account->tx, seen_tx, sent, leaving);
    if (amount)
        ADD(counters->tx_bytes, amount);
    amount = advance(&account->rx, seen_rx, received, leaving);
    if (amount)
        ADD(counters->rx_bytes, amount);
    advance_segments(account, seen_segments, segments, leaving, counters);
    return true;
}

/**
 * Gets the storage of a connection, made if need be. Two makers may race: the loser gets NULL and
 * finds the winner's.
 */
static __always_inline struct portmon_socket *make_account(struct tcp_sock *tp)
{
    struct portmon_socket *account;

    account = bpf_sk_storage_get(&sockets, tp, NULL, BPF_SK_STORAGE_GET_F_CREATE);
    if (!account)
        account = bpf_sk_storage_get(&sockets, tp, NULL, 0);
    if (!account)
        COUNT(storage_failures);
    return account;
}

static __always_inline bool claim(struct portmon_socket *account)
{
    return __sync_val_compare_and_swap(&account->phase, PORTMON_PHASE_NEW, PORTMON_PHASE_CLAIMED) ==
           PORTMON_PHASE_NEW;
}

/**
 * What it is; the phase last, since it publishes the rest. Returns whether it does: not where
 * another program has reported meanwhile that it opened.
 */
static __always_inline bool publish(const struct sock *sk, struct portmon_socket *account,
                                    __u16 port, __u8 role, __u8 flags)
{
    account->port = port;
    account->role = role;
    account->flags = flags;
    account->opened_nsec = account->tick_nsec = bpf_ktime_get_boot_ns();
    enlist(sk, account);
    return __sync_val_compare_and_swap(&account->phase, PORTMON_PHASE_CLAIMED,
                                       PORTMON_PHASE_OPEN) == PORTMON_PHASE_CLAIMED;
}

/** Gives a socket that connects once more a new account. Walks may still have the old one. */
static __always_inline void forget_closed(const struct sock *sk, struct tcp_sock *tp)
{
    struct portmon_socket *account;

    if (!sk->sk_bpf_storage)
        return;
    account = bpf_sk_storage_get(&sockets, tp, NULL, 0);
    if (account && READ_ONCE(account->phase) == PORTMON_PHASE_CLOSED)
        bpf_sk_storage_delete(&sockets, tp);
}

/** Takes a connection that was found open for one that opened while it was watched. */
static __always_inline void count_as_opened(struct portmon_socket *account,
                                            struct portmon_counters *counters)
{
    ADD(counters->rx_bytes, account->rx_baseline);
    ADD(counters->tx_bytes, account->tx_baseline);
    account->rx_baseline = account->tx_baseline = 0;
    account->flags = 0;
    ADD(counters->opened, 1);
}

/**
 * Where sock_ops alone reports that we opened a connection, it does so after the state has changed.
 * A scan that comes in between, without lock, takes it for one that was open before.
 */
static __always_inline void on_open_of_found(const struct sock *sk, struct portmon_socket *account,
                                             struct portmon_counters *counters)
{
    __u32 phase = READ_ONCE(account->phase);
    struct portmon_socket *figures;

    if (phase == PORTMON_PHASE_CLAIMED)
        phase = __sync_val_compare_and_swap(&account->phase, phase, PORTMON_PHASE_OPENED);
    if (phase != PORTMON_PHASE_OPEN)
        return;
    figures = figures_of(sk, account);
    if (figures->flags & PORTMON_SOCKET_ADOPTED) {
        ADD(counters->adopted, -1);
        count_as_opened(figures, counters);
    }
}

/**
 * A connection became established: @answered if our SYN was. Where two SYNs crossed, both ends end
 * as if they had been asked, and only that nobody accepted them tells. Returns whether it is
 * watched, by this call or an earlier one.
 */
static __always_inline bool on_open(const struct sock *sk, struct tcp_sock *tp, bool answered)
{
    bool active = answered || !stream_accepted(tp);
    __u16 port = active ? bpf_ntohs(sk->__sk_common.skc_dport) : stream_local_port(tp);
    __u8 role = active ? PORTMON_ROLE_CLIENT : PORTMON_ROLE_SERVER;
    struct portmon_counters *counters;
    struct portmon_socket *account;

    if (!is_watched(port) || (active && stream_stays_home(sk)))
        return false;
    counters = counters_of(port, role);
    if (!counters)
        return false;
    account = make_account(tp);
    if (!account)
        return false;
    if (!claim(account)) {
        on_open_of_found(sk, account, counters);
        return true;
    }
    account->first_octet = stream_first_octet(tp, active);
    publish(sk, account, port, role, 0);
    ADD(counters->opened, 1);
    return true;
}

/**
 * A connection has left the state @leaving for CLOSE: its counters say the last word now. CLOSE, if
 * no event told of it at its time.
 */
static __always_inline void settle(const struct sock *sk, const struct tcp_sock *tp,
                                   struct portmon_socket *account, int leaving)
{
    struct portmon_counters *counters;
    __u32 phase = __sync_val_compare_and_swap(&account->phase, PORTMON_PHASE_OPEN,
                                              PORTMON_PHASE_CLOSING);

    if (phase == PORTMON_PHASE_CLAIMED || phase == PORTMON_PHASE_OPENED)
        COUNT(unsettled); /* a scan, which holds no lock, has just found it and not yet said what */
    if (phase != PORTMON_PHASE_OPEN)
        return;
    counters = counters_of(account->port, account->role);
    if (!counters)
        return;
    if (leaving == BPF_TCP_CLOSE && stream_cleared(tp))
        COUNT(unsettled);
    else
        account_stream(sk, tp, figures_of(sk, account), counters, leaving);
    ADD(counters->closed, 1);
    strike_off(sk);
    WRITE_ONCE(account->phase, PORTMON_PHASE_CLOSED);
    /* The account stays until the socket is destroyed. It tells the other programs that this was
     * the end, and scans, which hold no lock: they see the old state for a while yet. */
}

static __always_inline void on_close(const struct sock *sk, struct tcp_sock *tp, int state)
{
    struct portmon_socket *account = bpf_sk_storage_get(&sockets, tp, NULL, 0);

    if (account)
        settle(sk, tp, account, state);
}

/* ---- events ---- */

SEC("sockops")
int portmon_sock_ops(struct bpf_sock_ops *ctx)
{
    struct bpf_sock *bpf_sk;
    struct tcp_sock *tp;
    struct sock *sk;

    switch (ctx->op) {
    case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
    case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
        break;
    case BPF_SOCK_OPS_STATE_CB:
        if (ctx->args[1] == BPF_TCP_CLOSE)
            break;
        return 1;
    default:
        return 1;
    }

    bpf_sk = ctx->sk;
    if (!bpf_sk)
        return 1;
    tp = bpf_skc_to_tcp_sock(bpf_sk);
    if (!tp)
        return 1;
    sk = (struct sock *) tp;

    if (ctx->op == BPF_SOCK_OPS_STATE_CB) {
        on_close(sk, tp, ctx->args[0]);
        return 1;
    }

    forget_closed(sk, tp);
    if (on_open(sk, tp, ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB))
        bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
    return 1;
}

static __always_inline int on_state_change(struct sock *sk, int old, int new)
{
    struct tcp_sock *tp;
    bool opens = stream_opens(old, new);

    if (!opens && new != BPF_TCP_CLOSE)
        return 0;
    if (sk->sk_protocol != IPPROTO_TCP)
        return 0; /* an MPTCP socket; its subflows are TCP and come by themselves */
    tp = bpf_skc_to_tcp_sock(sk);
    if (!tp)
        return 0;
    if (opens)
        forget_closed(sk, tp);
    if (opens || is_aborted_fast_open(tp, old))
        on_open(sk, tp, old == BPF_TCP_SYN_SENT);
    if (new == BPF_TCP_CLOSE)
        on_close(sk, tp, old);
    return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(portmon_state_1, struct sock *sk, int old, int new)
{
    return on_state_change(sk, old, new);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(portmon_state_2, struct sock *sk, int old, int new)
{
    return on_state_change(sk, old, new);
}

/**
 * The last that happens to a socket. Where no program saw it close, since it had been open before
 * and belongs to another namespace, or since the kernel skipped both, it is settled here.
 *
 * Nobody finds a socket any more that is being destroyed, so its account may go. The kernel would
 * do that later, but since Linux 7.0 it clears a pointer then that walks follow without looking.
 */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(portmon_destroy, struct sock *sk)
{
    struct portmon_socket *account;
    struct tcp_sock *tp;

    if (!sk->sk_bpf_storage)
        return 0;
    tp = bpf_skc_to_tcp_sock(sk);
    account = tp ? bpf_sk_storage_get(&sockets, tp, NULL, 0) : NULL;
    if (!account)
        return 0;
    if (READ_ONCE(account->phase) == PORTMON_PHASE_OPEN)
        settle(sk, tp, account, BPF_TCP_CLOSE);
    if (READ_ONCE(account->phase) != PORTMON_PHASE_CLOSED)
        COUNT(unsettled);
    strike_off(sk); /* by now for sure: its address may be another's soon */
    if (bpf_core_field_exists(struct bpf_local_storage_elem, state))
        bpf_sk_storage_delete(&sockets, tp);
    return 0;
}

/* ---- walks: watched sockets that are open ---- */

/**
 * Brings the figures of a watched connection up to date, and lists it if that is asked for. Once in
 * a walk, however often the walk comes by.
 */
static __always_inline void visit(struct bpf_iter_meta *meta, const struct sock *sk,
                                  const struct tcp_sock *tp, struct portmon_socket *account)
{
    struct portmon_control *order = ONLY(control);
    struct portmon_counters *counters;

    if (!order || account->seen == order->walk)
        return;
    counters = counters_of(account->port, account->role);
    if (!counters)
        return;
    /* One that closes is open until all of it is counted: where none is, the figures are final. */
    if (!(READ_ONCE(account->tx) & SETTLED)) {
        if (sk->__sk_common.skc_state == BPF_TCP_CLOSE ||
            !account_stream(sk, tp, account, counters, 0))
            return;
        measure_rates(account, order->tick_nsec);
        if (is_to_be_listed(account, order)) {
            struct portmon_connection c;

            describe(&c, sk, account);
            if (bpf_seq_write(meta->seq, &c, sizeof(c)))
                return; /* out of room: the kernel makes some and comes by once more */
        }
    }
    account->seen = order->walk;

    /* Walks never overlap, so these need no atomics. */
    if (counters->live_walk != order->walk) {
        counters->live = 0;
        counters->live_walk = order->walk;
    }
    counters->live++;
    COUNT(walked);
}

SEC("iter/bpf_sk_storage_map")
int portmon_walk(struct bpf_iter__bpf_sk_storage_map *ctx)
{
    struct sock *sk = ctx->sk;
    struct tcp_sock *tp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
    struct portmon_socket *account = ctx->value;
    __u32 phase;

    if (!tp || !account)
        return 0;
    phase = READ_ONCE(account->phase);
    if (phase == PORTMON_PHASE_OPEN || phase == PORTMON_PHASE_CLOSING)
        visit(ctx->meta, sk, tp, account);
    return 0;
}

/* Casts a number to a pointer that is only read through, with care: since Linux 6.2. */
extern void *bpf_rdonly_cast(const void *pointer, __u32 type) __ksym __weak;

/**
 * Whether the socket at an address may be the one that was enlisted: where its end was missed
 * another one may be there. If that is a connection of the same port, it has enlisted itself.
 */
static __always_inline bool is_enlisted(const struct sock *sk, const struct tcp_sock *tp,
                                        const struct portmon_socket *account)
{
    __u16 port = account->role == PORTMON_ROLE_CLIENT ? bpf_ntohs(sk->__sk_common.skc_dport)
                                                      : stream_local_port(tp);

    return port == account->port;
}

/** Ends the walk where a list has no room for one more. */
static long visit_enlisted(struct bpf_map *map, const __u64 *key, struct portmon_socket *account,
                           struct bpf_iter_meta **meta)
{
    const struct seq_file *seq = (*meta)->seq;
    const struct tcp_sock *tp;
    const struct sock *sk;

    if (seq->size - seq->count <= sizeof(struct portmon_connection))
        return 1;
    tp = bpf_rdonly_cast((const void *) *key, bpf_core_type_id_kernel(struct tcp_sock));
    sk = (const struct sock *) tp;
    if (is_enlisted(sk, tp, account))
        visit(*meta, sk, tp, account);
    return 0;
}

/** The tasks are of no interest: at the first of them it goes through the roster, and lists what
 * there is room for. */
SEC("iter/task")
int portmon_walk_roster(struct bpf_iter__task *ctx)
{
    struct bpf_iter_meta *meta = ctx->meta;

    if (!meta->seq_num)
        bpf_for_each_map_elem(&roster, visit_enlisted, &meta, 0);
    return 0;
}

/* ---- scans: connections that were open before their port was watched ---- */

/**
 * Begins to count an open connection. What it has transferred before is its baseline and belongs
 * to nobody.
 */
static __always_inline bool adopt(const struct sock *sk, struct tcp_sock *tp)
{
    int state = sk->__sk_common.skc_state;
    bool accepted = stream_accepted(tp);
    __u16 port = accepted ? sk->__sk_common.skc_num : bpf_ntohs(sk->__sk_common.skc_dport);
    __u8 role = accepted ? PORTMON_ROLE_SERVER : PORTMON_ROLE_CLIENT;
    struct portmon_control *order = ONLY(control);
    struct portmon_counters *counters;
    struct portmon_socket *account;

    COUNT(scanned);
    if (!is_open(state) || !order || !is_watched(port) || (!accepted && stream_stays_home(sk)))
        return false;
    counters = counters_of(port, role);
    if (!counters)
        return false;
    account = make_account(tp);
    if (!account)
        return false;
    if (!claim(account))
        return true;

    account->first_octet = stream_first_octet(tp, !accepted);
    if (order->recover) {
        publish(sk, account, port, role, 0);
        ADD(counters->opened, 1);
        return true;
    }
    account->rx_baseline = account->tick_rx = stream_received(sk, tp);
    account->tx_baseline = account->tick_tx = stream_sent(sk, tp, 0, account->first_octet);
    account->rx = account->rx_baseline << 1;
    account->tx = account->tx_baseline << 1;
    account->segments = stream_segments(tp);
    if (publish(sk, account, port, role, PORTMON_SOCKET_ADOPTED)) {
        ADD(counters->adopted, 1);
    } else {
        count_as_opened(figures_of(sk, account), counters);
        WRITE_ONCE(account->phase, PORTMON_PHASE_OPEN);
    }
    return true;
}

static __always_inline struct tcp_sock *tcp_sock_of(struct file *file)
{
    struct socket *socket = file ? bpf_sock_from_file(file) : NULL;
    struct sock *sk = socket ? socket->sk : NULL;

    return sk ? bpf_skc_to_tcp_sock(sk) : NULL;
}

/** All namespaces, but only what a process holds: not what waits to be accepted, nor orphans. */
SEC("iter/task_file")
int portmon_scan_files(struct bpf_iter__task_file *ctx)
{
    struct tcp_sock *tp = tcp_sock_of(ctx->file);

    if (tp)
        adopt((struct sock *) tp, tp);
    return 0;
}

/** Everything, but only in the reader's own namespace. Returns it if it is watched. */
static __always_inline struct tcp_sock *scan(const struct bpf_iter__tcp *ctx)
{
    struct sock_common *skc = ctx->sk_common;
    struct tcp_sock *tp = skc ? bpf_skc_to_tcp_sock(skc) : NULL;

    /* NULL: TIME_WAIT, or a handshake that goes on */
    return tp && adopt((struct sock *) tp, tp) ? tp : NULL;
}

SEC("iter/tcp")
int portmon_scan_tcp(struct bpf_iter__tcp *ctx)
{
    scan(ctx);
    return 0;
}

/** As the former, and asks sock_ops to report the end of what it finds: since Linux 5.14. */
SEC("iter/tcp")
int portmon_scan_and_enroll(struct bpf_iter__tcp *ctx)
{
    struct tcp_sock *tp = scan(ctx);
    int flags = 0;

    if (!tp || bpf_getsockopt(tp, IPPROTO_TCP, TCP_SOCK_OPS_CB_FLAGS, &flags, sizeof(flags)))
        return 0;
    flags |= BPF_SOCK_OPS_STATE_CB_FLAG;
    if (!bpf_setsockopt(tp, IPPROTO_TCP, TCP_SOCK_OPS_CB_FLAGS, &flags, sizeof(flags)))
        COUNT(enrolled);
    return 0;
}

/** Who holds the watched sockets. The task that accepts is not the one that serves. */
SEC("iter/task_file")
int portmon_owners(struct bpf_iter__task_file *ctx)
{
    struct tcp_sock *tp = tcp_sock_of(ctx->file);
    struct task_struct *task = ctx->task;
    struct portmon_owner owner = {};

    if (!tp || !task || !bpf_sk_storage_get(&sockets, tp, NULL, 0))
        return 0;
    owner.socket = (__u64) tp;
    owner.pid = task->tgid;
    BPF_CORE_READ_STR_INTO(&owner.comm, task, group_leader, comm);
    bpf_seq_write(ctx->meta->seq, &owner, sizeof(owner));
    return 0;
}
