/* SPDX-License-Identifier: MIT */
/* Ways to close a connection, and what may still come then. */
#include "traffic.h"

#include <linux/tcp.h>

#define UNWANTED_OCTETS 1000 /* a single segment: the reset would come before a second one */

/** The peer sends a segment to whom does not want it, and is reset: sent it is, received not. */
static void send_unwanted(struct run *run)
{
    send_plain(run->fd[run->peer], UNWANTED_OCTETS);
    count_sent(run, run->peer, UNWANTED_OCTETS);
    WAIT_FOR(state_of(run->fd[run->peer]) == TCP_CLOSE);
}

/* ---- one direction, then the other ---- */

static void half_closed(struct run *run)
{
    const uint64_t *before = run->plan;

    open_pair(run);
    transfer(run, run->actor, *before);
    half_close(run, run->actor);
    receive_end(run->fd[run->peer]);
    transfer(run, run->peer, MORE);
    close_end(run, run->peer);
    receive_end(run->fd[run->actor]);
    close_end(run, run->actor);
}

/** Both FINs are on their way before either arrives, perhaps with octets before them. */
static void closed_at_once(struct run *run)
{
    const uint64_t *octets = run->plan;
    int actor, peer;

    open_and_exchange(run);
    actor = run->fd[run->actor];
    peer = run->fd[run->peer];
    lose_everything(actor);
    lose_everything(peer);
    send_plain(actor, *octets);
    send_plain(peer, *octets);
    half_close(run, run->actor);
    half_close(run, run->peer);
    EXPECT(state_of(actor) == TCP_FIN_WAIT1 && state_of(peer) == TCP_FIN_WAIT1);
    lose_nothing(actor);
    lose_nothing(peer);
    for (enum end end = 0; end < _END_MAX; end++) {
        receive_plain(run->fd[end], *octets);
        receive_end(run->fd[end]);
        count_sent(run, end, *octets);
        count_received(run, end, *octets);
    }
    for (enum end end = 0; end < _END_MAX; end++)
        close_end(run, end);
}

/** The kernel goes on receiving for whom does not want to read any more. */
static void shut_for_reading(struct run *run)
{
    open_and_exchange(run);
    MUST(shutdown(run->fd[run->actor], SHUT_RD));
    send_unread(run, run->peer, SOME / 4);
    receive_plain(run->fd[run->actor], SOME / 4);
    finish(run);
}

/** … unless it does not want to write either: then it resets, and what came is not received. */
static void shut_for_both(struct run *run)
{
    open_and_exchange(run);
    MUST(shutdown(run->fd[run->actor], SHUT_RDWR));
    WAIT_FOR(state_of(run->fd[run->actor]) == TCP_FIN_WAIT2);
    send_unwanted(run);
    close_end(run, run->actor);
    close_end(run, run->peer);
}

/* ---- unread octets were received all the same ---- */

struct unread {
    uint64_t sent;
    uint64_t read;
    bool with_fin;
};

static void closed_unread(struct run *run)
{
    const struct unread *unread = run->plan;

    open_pair(run);
    send_unread(run, run->peer, unread->sent);
    if (unread->with_fin) {
        half_close(run, run->peer);
        WAIT_FOR(state_of(run->fd[run->actor]) == TCP_CLOSE_WAIT);
    }
    receive_plain(run->fd[run->actor], unread->read);
    close_end(run, run->actor);
    WAIT_FOR(state_of(run->fd[run->peer]) == TCP_CLOSE);
    close_end(run, run->peer);
}

static void reset_before_read(struct run *run)
{
    open_and_exchange(run);
    send_unread(run, run->actor, SOME / 4);
    reset_end(run, run->actor);
    WAIT_FOR(state_of(run->fd[run->peer]) == TCP_CLOSE);
    close_end(run, run->peer);
}

/* ---- orphans: sockets without an owner that the kernel brings to their end ---- */

enum then { FIN, DATA, LATE_DATA };

struct orphan {
    int linger2_sec; /* 0: the default */
    enum then then;  /* what the peer does */
};

static void orphaned_in_fin_wait2(struct run *run)
{
    const struct orphan *orphan = run->plan;
    enum tcp_state until = orphan->then == LATE_DATA ? TCP_CLOSE : TCP_FIN_WAIT2;

    open_and_exchange(run);
    if (orphan->linger2_sec)
        set_option(run->fd[run->actor], IPPROTO_TCP, TCP_LINGER2, orphan->linger2_sec);
    close_end(run, run->actor);
    WAIT_FOR(state_by_name(run, run->actor) == until);
    if (orphan->then != FIN) {
        send_unwanted(run);
    }
    close_end(run, run->peer);
}

/** The FIN is lost; instead of an acknowledgement comes what nobody wants. */
static void orphaned_in_fin_wait1(struct run *run)
{
    open_and_exchange(run);
    lose_everything(run->fd[run->peer]);
    close_end(run, run->actor);
    EXPECT(state_by_name(run, run->actor) == TCP_FIN_WAIT1);
    lose_nothing(run->fd[run->peer]);
    send_unwanted(run);
    close_end(run, run->peer);
}

/** A negative TCP_LINGER2 ends it as soon as the FIN is acknowledged. */
static void without_fin_wait2(struct run *run)
{
    open_and_exchange(run);
    set_option(run->fd[run->actor], IPPROTO_TCP, TCP_LINGER2, -1);
    close_end(run, run->actor);
    WAIT_FOR(state_of(run->fd[run->peer]) == TCP_CLOSE);
    close_end(run, run->peer);
}

static void closed_before_sent(struct run *run)
{
    open_and_exchange(run);
    overfill(run);
    close_end(run, run->actor);
    drain(run);
    receive_end(run->fd[run->peer]);
    close_end(run, run->peer);
}

#define OCTETS(n)          ((const uint64_t[]){n})
#define UNREAD(...)        ((const struct unread[]){{__VA_ARGS__}})
#define ORPHAN(sec, then_) ((const struct orphan[]){{sec, then_}})

static const struct traffic_case cases[] = {
    {"half-closed", "one end closes, the other goes on", half_closed, OCTETS(SOME), EITHER_END},
    {"half-closed-at-once", "… before it has sent anything", half_closed, OCTETS(0), EITHER_END},
    {"closed-at-once", "both FINs cross", closed_at_once, OCTETS(0), EITHER_END},
    {"closed-at-once-with-data", "… with octets before them", closed_at_once, OCTETS(2000),
     EITHER_END},
    {"shut-for-reading", "shutdown(SHUT_RD), and octets arrive", shut_for_reading, NULL,
     EITHER_END},
    {"shut-for-both", "shutdown(SHUT_RDWR), and octets arrive", shut_for_both, NULL, EITHER_END},
    {"closed-unread", "nothing of what arrived was read", closed_unread, UNREAD(50000, 0, false),
     EITHER_END},
    {"closed-part-read", "some of what arrived was read", closed_unread,
     UNREAD(50000, 10001, false), EITHER_END},
    {"closed-unread-after-fin", "… and the peer had closed", closed_unread, UNREAD(50000, 0, true),
     EITHER_END},
    {"closed-part-read-after-fin", "… and the peer had closed", closed_unread,
     UNREAD(50000, 10001, true), EITHER_END},
    {"closed-but-fin-unread", "all was read but the peer's FIN", closed_unread,
     UNREAD(50000, 50000, true), EITHER_END},
    {"reset-before-read", "a reset throws away what was received", reset_before_read, NULL,
     EITHER_END},
    {"orphan-fin", "an orphan in FIN_WAIT2 gets a FIN", orphaned_in_fin_wait2, ORPHAN(0, FIN),
     EITHER_END},
    {"orphan-data", "… gets octets", orphaned_in_fin_wait2, ORPHAN(0, DATA), EITHER_END},
    {"orphan-linger2-fin", "a long TCP_LINGER2, then a FIN", orphaned_in_fin_wait2,
     ORPHAN(100, FIN), EITHER_END},
    {"orphan-linger2-data", "a long TCP_LINGER2, then octets", orphaned_in_fin_wait2,
     ORPHAN(100, DATA), EITHER_END},
    {"orphan-linger2-expired", "a short TCP_LINGER2, and octets too late", orphaned_in_fin_wait2,
     ORPHAN(1, LATE_DATA), EITHER_END},
    {"orphan-fin-lost-data", "an orphan in FIN_WAIT1 gets octets", orphaned_in_fin_wait1, NULL,
     EITHER_END},
    {"without-fin-wait2", "a negative TCP_LINGER2", without_fin_wait2, NULL, EITHER_END},
    {"closed-before-sent", "close() with megabytes to send", closed_before_sent, NULL, EITHER_END},
};

const struct case_table close_cases = {cases, ELEMENTSOF(cases)};
