/* SPDX-License-Identifier: MIT */
/* Lost segments, and connections that end because of them. */
#include "traffic.h"

#include <linux/tcp.h>

#define LOST_OCTETS 1000 /* a single segment: a second one might wait for the first */

/* ---- loss that is made good ---- */

static void exchange_until(struct run *run, bool (*happened)(const struct run *run))
{
    do
        exchange(run, SOME, MORE);
    while (!happened(run));
    finish(run);
}

static bool both_retransmitted(const struct run *run)
{
    return retransmissions(run->fd[CLIENT]) > 0 && retransmissions(run->fd[SERVER]) > 0;
}

static void loss_on_arrival(struct run *run)
{
    open_pair(run);
    lose_some(run->fd[CLIENT]);
    lose_some(run->fd[SERVER]);
    exchange_until(run, both_retransmitted);
}

/** Whether the kernel thinks that it sent more than it got rid of. */
static bool sent_in_vain(const struct run *run)
{
    return octets_sent_first(run->fd[run->actor]) > run->truth[run->actor].tx;
}

/** Segments are dropped before they leave; TCP is told and tries again. */
static void loss_before_departure(struct run *run)
{
    open_pair(run);
    mark_output(run->fd[run->actor], MARK_DROP);
    send_plain(run->fd[run->actor], 1000);
    if (octets_unsent(run->fd[run->actor]) != 1000)
        unavailable("no rule here drops what is marked");
    mark_output(run->fd[run->actor], MARK_DROP_SOME);
    receive_plain(run->fd[run->peer], 1000);
    count_sent(run, run->actor, 1000);
    count_received(run, run->peer, 1000);
    exchange_until(run, sent_in_vain);
}

/* ---- loss that is not ---- */

/** What never left is not sent. */
static void dropped_then_reset(struct run *run)
{
    open_and_exchange(run);
    mark_output(run->fd[run->actor], MARK_DROP);
    send_plain(run->fd[run->actor], LOST_OCTETS);
    if (octets_unsent(run->fd[run->actor]) != LOST_OCTETS)
        unavailable("no rule here drops what is marked");
    reset_end(run, run->actor);
    reset_end(run, run->peer);
}

/** Sends octets that get lost: sent they are, received not. */
static void send_in_vain(struct run *run)
{
    lose_everything(run->fd[run->peer]);
    send_plain(run->fd[run->actor], LOST_OCTETS);
    WAIT_FOR(octets_unsent(run->fd[run->actor]) == 0);
    count_sent(run, run->actor, LOST_OCTETS);
}

static void lost_then_reset(struct run *run)
{
    open_and_exchange(run);
    send_in_vain(run);
    reset_end(run, run->actor);
    reset_end(run, run->peer);
}

/** Octets behind a hole have arrived, but not in order. */
static void hole_then_reset(struct run *run)
{
    int actor;

    open_and_exchange(run);
    actor = run->fd[run->actor];
    set_option(actor, IPPROTO_TCP, TCP_NODELAY, 1);
    lose_longer_than(run->fd[run->peer], 1000);
    send_plain(actor, 2000);
    send_plain(actor, 500);
    /* Where segments are small, the last of the 2000 may arrive before the 500 have left. */
    WAIT_FOR(octets_unsent(actor) == 0 && segments_out_of_order(actor) > 0);
    count_sent(run, run->actor, 2500);
    reset_end(run, run->actor);
    WAIT_FOR(state_of(run->fd[run->peer]) == TCP_CLOSE);
    close_end(run, run->peer);
}

/* ---- nobody answers ---- */

static void wait_for_timeout(struct run *run)
{
    WAIT_FOR(state_of(run->fd[run->actor]) == TCP_CLOSE);
    close_end(run, run->actor);
    reset_end(run, run->peer);
}

static void keepalive_timeout(struct run *run)
{
    int actor;

    open_and_exchange(run);
    actor = run->fd[run->actor];
    lose_everything(run->fd[run->peer]);
    set_option(actor, IPPROTO_TCP, TCP_KEEPIDLE, 1);
    set_option(actor, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set_option(actor, IPPROTO_TCP, TCP_KEEPCNT, 1);
    set_option(actor, SOL_SOCKET, SO_KEEPALIVE, 1);
    wait_for_timeout(run);
}

#define USER_TIMEOUT_MSEC 100

static void be_impatient(struct run *run)
{
    set_option(run->fd[run->actor], IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MSEC);
}

static void open_impatiently(struct run *run)
{
    open_and_exchange(run);
    be_impatient(run);
}

static void user_timeout(struct run *run)
{
    open_impatiently(run);
    send_in_vain(run);
    wait_for_timeout(run);
}

static void user_timeout_of_fin(struct run *run)
{
    open_and_exchange(run);
    send_in_vain(run);
    half_close(run, run->actor);
    be_impatient(run); /* not before: the time may be up before we had our turn again */
    wait_for_timeout(run);
}

static void user_timeout_of_probe(struct run *run)
{
    open_and_exchange(run);
    overfill(run);
    be_impatient(run);
    lose_everything(run->fd[run->peer]);
    wait_for_timeout(run);
}

static void user_timeout_of_orphan(struct run *run)
{
    open_impatiently(run);
    send_in_vain(run);
    close_end(run, run->actor);
    WAIT_FOR(state_by_name(run, run->actor) == TCP_CLOSE);
    reset_end(run, run->peer);
}

static const struct traffic_case cases[] = {
    {"loss-on-arrival", "a tenth of the segments is lost at either end", loss_on_arrival, NULL,
     EITHER_END},
    {"loss-before-departure", "a tenth of the segments never leaves", loss_before_departure, NULL,
     EITHER_END | PREPARED},
    {"dropped-then-reset", "octets that never left, and a reset", dropped_then_reset, NULL,
     EITHER_END | PREPARED},
    {"lost-then-reset", "octets that never arrive, and a reset", lost_then_reset, NULL, EITHER_END},
    {"hole-then-reset", "octets that arrive behind a hole, and a reset", hole_then_reset, NULL,
     EITHER_END},
    {"keepalive-timeout", "the peer does not answer probes", keepalive_timeout, NULL, EITHER_END},
    {"user-timeout", "the peer does not acknowledge octets", user_timeout, NULL, EITHER_END},
    {"user-timeout-of-fin", "… nor the FIN behind them", user_timeout_of_fin, NULL, EITHER_END},
    {"user-timeout-of-probe", "… nor does it open its window", user_timeout_of_probe, NULL,
     EITHER_END},
    {"user-timeout-of-orphan", "the same without an owner", user_timeout_of_orphan, NULL,
     EITHER_END},
};

const struct case_table abort_cases = {cases, ELEMENTSOF(cases)};
