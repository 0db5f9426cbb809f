/* SPDX-License-Identifier: MIT */
/* Octets on their way, and the account that is kept of them. */
#include "traffic.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define CHUNK ((size_t) 256 * 1024)

static const char zeros[CHUNK];

static size_t min_size(uint64_t a, size_t b)
{
    return a < b ? (size_t) a : b;
}

void send_plain(int fd, uint64_t octets)
{
    while (octets > 0)
        octets -= (uint64_t) MUST(send(fd, zeros, min_size(octets, CHUNK), 0));
}

/** Reads up to @limit octets or the end; returns how many there were. */
static uint64_t receive_up_to(int fd, uint64_t limit)
{
    uint64_t octets = 0;
    char buffer[65536];
    ssize_t n;

    while (octets < limit) {
        n = MUST(recv(fd, buffer, min_size(limit - octets, sizeof(buffer)), 0));
        if (n == 0)
            break;
        octets += (uint64_t) n;
    }
    return octets;
}

void receive_plain(int fd, uint64_t octets)
{
    EXPECT(receive_up_to(fd, octets) == octets);
}

void receive_end(int fd)
{
    EXPECT(receive_up_to(fd, 1) == 0);
}

void count_sent(struct run *run, enum end end, uint64_t octets)
{
    if (run->watched)
        run->truth[end].tx += octets;
}

void count_received(struct run *run, enum end end, uint64_t octets)
{
    if (run->watched)
        run->truth[end].rx += octets;
}

/* ---- several at once ---- */

struct flow {
    pthread_t thread;
    move_fn *move;
    int fd;
    uint64_t octets;
};

static void *flow_main(void *userdata)
{
    struct flow *flow = userdata;

    flow->move(flow->fd, flow->octets);
    return NULL;
}

static void move_all(struct flow *flows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        EXPECT((errno = pthread_create(&flows[i].thread, NULL, flow_main, &flows[i])) == 0);
    for (size_t i = 0; i < n; i++)
        pthread_join(flows[i].thread, NULL);
}

void transfer_by(struct run *run, enum end from, uint64_t octets, move_fn *send, move_fn *receive)
{
    struct flow flows[] = {
        {.move = send, .fd = run->fd[from], .octets = octets},
        {.move = receive, .fd = run->fd[other(from)], .octets = octets},
    };

    move_all(flows, ELEMENTSOF(flows));
    count_sent(run, from, octets);
    count_received(run, other(from), octets);
}

void transfer(struct run *run, enum end from, uint64_t octets)
{
    transfer_by(run, from, octets, send_plain, receive_plain);
}

void exchange(struct run *run, uint64_t from_actor, uint64_t from_peer)
{
    int actor = run->fd[run->actor], peer = run->fd[run->peer];
    struct flow flows[] = {
        {.move = send_plain, .fd = actor, .octets = from_actor},
        {.move = receive_plain, .fd = peer, .octets = from_actor},
        {.move = send_plain, .fd = peer, .octets = from_peer},
        {.move = receive_plain, .fd = actor, .octets = from_peer},
    };

    move_all(flows, ELEMENTSOF(flows));
    count_sent(run, run->actor, from_actor);
    count_received(run, run->peer, from_actor);
    count_sent(run, run->peer, from_peer);
    count_received(run, run->actor, from_peer);
}

void open_and_exchange(struct run *run)
{
    open_pair(run);
    exchange(run, SOME, MORE);
}

/* ---- octets that nobody reads, for now ---- */

void send_unread(struct run *run, enum end from, uint64_t octets)
{
    int to = run->fd[other(from)];
    uint64_t before = octets_arrived(to);

    send_plain(run->fd[from], octets);
    WAIT_FOR(octets_arrived(to) - before == octets);
    count_sent(run, from, octets);
    count_received(run, other(from), octets);
}

void overfill(struct run *run)
{
    int from = run->fd[run->actor], to = run->fd[run->peer];
    uint64_t before = octets_arrived(to), written = 0;

    while (!window_is_shut(from)) {
        ssize_t n = send(from, zeros, CHUNK, MSG_DONTWAIT);

        if (n > 0) {
            written += (uint64_t) n;
            continue;
        }
        EXPECT(errno == EAGAIN);
        nap();
    }
    run->unread = octets_arrived(to) - before;
    run->queued = written - run->unread;
    EXPECT(run->queued == octets_unsent(from));
    count_sent(run, run->actor, run->unread);
    count_received(run, run->peer, run->unread);
}

void drain(struct run *run)
{
    receive_plain(run->fd[run->peer], run->unread + run->queued);
    count_sent(run, run->actor, run->queued);
    count_received(run, run->peer, run->queued);
}

/* ---- endings ---- */

void close_end(struct run *run, enum end end)
{
    MUST(close(run->fd[end]));
    run->fd[end] = -1;
}

void reset_socket(int fd)
{
    struct linger at_once = {.l_onoff = 1};

    MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)));
    MUST(close(fd));
}

void reset_end(struct run *run, enum end end)
{
    reset_socket(run->fd[end]);
    run->fd[end] = -1;
}

void half_close(struct run *run, enum end end)
{
    MUST(shutdown(run->fd[end], SHUT_WR));
}

void finish(struct run *run)
{
    close_end(run, run->actor);
    receive_end(run->fd[run->peer]);
    close_end(run, run->peer);
}
