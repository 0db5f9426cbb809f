/* SPDX-License-Identifier: MIT */
/*
 * Every state that a connection can be in, times every way in which it can end. The actor gets into
 * the state and the peer stays behind. The same again with a port that is added in between.
 */
#include "traffic.h"

#include <errno.h>

/* ---- states ---- */

static void reach_established(struct run *run)
{
    open_and_exchange(run);
}

static void reach_established_unsent(struct run *run)
{
    reach_established(run);
    overfill(run);
}

/** The peer does not get the FIN. */
static void reach_fin_wait1(struct run *run)
{
    reach_established(run);
    lose_everything(run->fd[run->peer]);
    half_close(run, run->actor);
    EXPECT(state_of(run->fd[run->actor]) == TCP_FIN_WAIT1);
}

/** The FIN waits behind octets for which the peer has no room. */
static void reach_fin_wait1_unsent(struct run *run)
{
    reach_established_unsent(run);
    half_close(run, run->actor);
    EXPECT(state_of(run->fd[run->actor]) == TCP_FIN_WAIT1);
}

static void reach_fin_wait2(struct run *run)
{
    reach_established(run);
    half_close(run, run->actor);
    WAIT_FOR(state_of(run->fd[run->actor]) == TCP_FIN_WAIT2);
}

static void reach_closing(struct run *run)
{
    reach_fin_wait1(run);
    half_close(run, run->peer);
    WAIT_FOR(state_of(run->fd[run->actor]) == TCP_CLOSING);
}

static void reach_closing_unsent(struct run *run)
{
    reach_fin_wait1_unsent(run);
    half_close(run, run->peer);
    WAIT_FOR(state_of(run->fd[run->actor]) == TCP_CLOSING);
}

static void reach_close_wait(struct run *run)
{
    reach_established(run);
    half_close(run, run->peer);
    WAIT_FOR(state_of(run->fd[run->actor]) == TCP_CLOSE_WAIT);
}

static void reach_close_wait_unsent(struct run *run)
{
    reach_established_unsent(run);
    half_close(run, run->peer);
    WAIT_FOR(state_of(run->fd[run->actor]) == TCP_CLOSE_WAIT);
}

static void reach_last_ack(struct run *run)
{
    reach_close_wait(run);
    lose_everything(run->fd[run->peer]);
    half_close(run, run->actor);
    EXPECT(state_of(run->fd[run->actor]) == TCP_LAST_ACK);
}

static void reach_last_ack_unsent(struct run *run)
{
    reach_close_wait_unsent(run);
    half_close(run, run->actor);
    EXPECT(state_of(run->fd[run->actor]) == TCP_LAST_ACK);
}

/* ---- ends ---- */

/** The peer goes without a word that could be lost. */
static void leave_peer(struct run *run)
{
    reset_end(run, run->peer);
}

static void end_destroyed(struct run *run)
{
    destroy_socket(run, run->actor);
    WAIT_FOR(state_of(run->fd[run->actor]) == TCP_CLOSE);
    close_end(run, run->actor);
    leave_peer(run);
}

static void end_reset(struct run *run)
{
    reset_end(run, run->actor);
    leave_peer(run);
}

static void end_reset_by_peer(struct run *run)
{
    leave_peer(run);
    WAIT_FOR(state_of(run->fd[run->actor]) == TCP_CLOSE);
    close_end(run, run->actor);
}

/** The socket becomes an orphan; then the peer resets. */
static void end_orphaned(struct run *run)
{
    close_end(run, run->actor);
    leave_peer(run);
}

static void end_disconnected(struct run *run)
{
    disconnect(run->fd[run->actor]);
    close_end(run, run->actor);
    leave_peer(run);
}

/** Closes one direction if that has not happened, or the connection come to its end, before. */
static void close_direction(struct run *run, enum end end)
{
    if (shutdown(run->fd[end], SHUT_WR) < 0)
        EXPECT(errno == ENOTCONN);
}

/** What was lost is sent again, the peer reads everything, both close. */
static void end_completed(struct run *run)
{
    lose_nothing(run->fd[run->peer]);
    close_direction(run, run->actor);
    close_direction(run, run->peer);
    drain(run);
    for (enum end end = 0; end < _END_MAX; end++)
        receive_end(run->fd[end]);
    for (enum end end = 0; end < _END_MAX; end++)
        close_end(run, end);
}

/* ---- cases ---- */

struct way_out {
    void (*reach)(struct run *run);
    void (*end)(struct run *run);
};

static void reach_and_end(struct run *run)
{
    const struct way_out *way = run->plan;

    way->reach(run);
    stage_add(run);
    way->end(run);
}

/* clang-format off */

#define WAY_OUT(reach, end) ((const struct way_out[]){{reach, end}})

#define CASE(ending, end, state, reach)                                                \
    {ending "-in-" state, ending " in the state " state, reach_and_end,                \
     WAY_OUT(reach, end), EITHER_END},                                                 \
    {"added-in-" state "-then-" ending, "added in the state " state ", then " ending,  \
     reach_and_end, WAY_OUT(reach, end), EITHER_END | STAGED}

#define IN_EACH_STATE(ending, end)                                        \
    CASE(ending, end, "established", reach_established),                  \
    CASE(ending, end, "established-unsent", reach_established_unsent),    \
    CASE(ending, end, "fin-wait1", reach_fin_wait1),                      \
    CASE(ending, end, "fin-wait1-unsent", reach_fin_wait1_unsent),        \
    CASE(ending, end, "fin-wait2", reach_fin_wait2),                      \
    CASE(ending, end, "closing", reach_closing),                          \
    CASE(ending, end, "closing-unsent", reach_closing_unsent),            \
    CASE(ending, end, "close-wait", reach_close_wait),                    \
    CASE(ending, end, "close-wait-unsent", reach_close_wait_unsent),      \
    CASE(ending, end, "last-ack", reach_last_ack),                        \
    CASE(ending, end, "last-ack-unsent", reach_last_ack_unsent)

static const struct traffic_case cases[] = {
    IN_EACH_STATE("completed", end_completed),
    IN_EACH_STATE("reset", end_reset),
    IN_EACH_STATE("reset-by-peer", end_reset_by_peer),
    IN_EACH_STATE("orphaned", end_orphaned),
    IN_EACH_STATE("disconnected", end_disconnected),
    IN_EACH_STATE("destroyed", end_destroyed),
};

/* clang-format on */

const struct case_table end_cases = {cases, ELEMENTSOF(cases)};
