/* SPDX-License-Identifier: MIT */
/* Ports that are added, or removed and added again, while connections are open. */
#include "traffic.h"

static void added_before_first_octet(struct run *run)
{
    open_pair(run);
    stage_add(run);
    exchange(run, SOME, MORE);
    finish(run);
}

/** What has arrived before belongs to nobody, even if it is read later. */
static void added_before_read(struct run *run)
{
    open_pair(run);
    send_unread(run, run->actor, 50000);
    stage_add(run);
    receive_plain(run->fd[run->peer], 50000);
    exchange(run, SOME, MORE);
    finish(run);
}

/** What is sent counts from then on, not what was written. */
static void added_before_sent(struct run *run)
{
    open_and_exchange(run);
    overfill(run);
    stage_add(run);
    drain(run);
    exchange(run, MORE, SOME);
    finish(run);
}

/** Lost octets were sent before and are received after. */
static void added_before_retransmitted(struct run *run)
{
    open_and_exchange(run);
    lose_everything(run->fd[run->peer]);
    send_plain(run->fd[run->actor], 1000);
    WAIT_FOR(octets_unsent(run->fd[run->actor]) == 0);
    stage_add(run);
    lose_nothing(run->fd[run->peer]);
    receive_plain(run->fd[run->peer], 1000);
    count_received(run, run->peer, 1000);
    exchange(run, MORE, SOME);
    finish(run);
}

static void added_before_accepted(struct run *run)
{
    start_listening(run);
    connect_client(run);
    send_plain(run->fd[CLIENT], SOME / 10);
    WAIT_FOR(segments_unacknowledged(run->fd[CLIENT]) == 0);
    stage_add(run);
    accept_server(run);
    run->truth[SERVER].connections = 0; /* established before, whenever it was accepted */
    receive_plain(run->fd[SERVER], SOME / 10);
    exchange(run, SOME, MORE);
    finish(run);
}

static void added_after_orphaned(struct run *run)
{
    open_and_exchange(run);
    overfill(run);
    close_end(run, run->actor);
    stage_add(run);
    drain(run);
    receive_end(run->fd[run->peer]);
    close_end(run, run->peer);
}

/* ---- added, removed, and added again ---- */

static void removed_and_added(struct run *run)
{
    stage_add(run);
    open_and_exchange(run);
    for (int i = 0; i < 2; i++) {
        stage_remove(run);
        exchange(run, 1001, 2003);
        stage_add(run);
        exchange(run, MORE, SOME);
    }
    finish(run);
}

static void closed_while_removed(struct run *run)
{
    stage_add(run);
    open_and_exchange(run);
    stage_remove(run);
    exchange(run, 1001, 2003);
    finish(run);
    stage_add(run);
}

static void opened_while_removed(struct run *run)
{
    stage_add(run);
    open_and_exchange(run);
    finish(run);
    stop_listening(run);
    stage_remove(run);
    open_pair(run);
    exchange(run, 1001, 2003);
    stage_add(run);
    exchange(run, MORE, SOME);
    finish(run);
}

/** The same socket, whose first connection was counted to its end. */
static void reconnected_while_removed(struct run *run)
{
    stage_add(run);
    open_and_exchange(run);
    disconnect_client(run);
    stage_remove(run);
    reconnect_client(run);
    exchange(run, 1001, 2003);
    stage_add(run);
    exchange(run, MORE, SOME);
    finish(run);
}

static const struct traffic_case cases[] = {
    {"added-before-first-octet", "open, but not used yet", added_before_first_octet, NULL,
     EITHER_END | STAGED},
    {"added-before-read", "octets wait to be read", added_before_read, NULL, EITHER_END | STAGED},
    {"added-before-sent", "octets wait to be sent", added_before_sent, NULL, EITHER_END | STAGED},
    {"added-before-retransmitted", "octets are lost and come later", added_before_retransmitted,
     NULL, EITHER_END | STAGED},
    {"added-before-accepted", "the connection waits to be accepted", added_before_accepted, NULL,
     EITHER_END | STAGED | UNOWNED},
    {"added-after-orphaned", "the connection is an orphan", added_after_orphaned, NULL,
     EITHER_END | STAGED | UNOWNED},
    {"removed-and-added", "open all the while, twice", removed_and_added, NULL,
     EITHER_END | STAGED},
    {"closed-while-removed", "nothing is left when the port comes back", closed_while_removed, NULL,
     EITHER_END | STAGED},
    {"opened-while-removed", "counts from when the port comes back", opened_while_removed, NULL,
     EITHER_END | STAGED},
    {"reconnected-while-removed", "the same socket, counts from when the port comes back",
     reconnected_while_removed, NULL, EITHER_END | STAGED},
};

const struct case_table staged_cases = {cases, ELEMENTSOF(cases)};
