/* SPDX-License-Identifier: MIT */
/* Short connections, as many as there can be, with every kind of end; and long ones beside them. */
#include "traffic.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum ending { CLIENT_CLOSES, SERVER_CLOSES, CLIENT_RESETS, SERVER_RESETS, _ENDING_MAX };

/** What a client asks for: its own octets, the server's, and another request or the end. */
struct request {
    uint32_t octets;
    uint32_t answer_octets;
    uint32_t more;
    uint32_t ending;
};

/* Two in three are short. */
#define SHORT_OCTETS 1000
#define LONG_OCTETS  50000

struct worker {
    pthread_t thread;
    const struct run *run;
    unsigned seed;
    bool stays; /* on one connection */
    struct truth truth;
};

/** The time is up. */
static atomic_bool ended;

/**
 * Gives the thread a table of descriptors of its own.
 *
 * Who reads /proc/PID/fd holds what it finds there for a moment, and may be the last to let go of a
 * connection, which then closes in its context. On some machines a process that the kernel lets no
 * BPF program see looks at all others in this way, and such an end nobody can count. There it shows
 * the table of the first thread, which has no connections.
 */
static void own_descriptors(void)
{
    MUST(unshare(CLONE_FILES));
}

/* ---- servers: they take what comes until the listener is shut down ---- */

static void serve(struct worker *worker, int fd)
{
    struct request request;

    do {
        EXPECT(recv(fd, &request, sizeof(request), MSG_WAITALL) == sizeof(request));
        receive_plain(fd, request.octets);
        send_plain(fd, request.answer_octets);
        worker->truth.rx += sizeof(request) + request.octets;
        worker->truth.tx += request.answer_octets;
    } while (request.more);
    worker->truth.connections++;
    switch (request.ending) {
    case SERVER_CLOSES:
        MUST(close(fd));
        break;
    case SERVER_RESETS: /* when the client says that it has everything */
        receive_plain(fd, 1);
        worker->truth.rx++;
        reset_socket(fd);
        break;
    case CLIENT_CLOSES:
        receive_end(fd);
        MUST(close(fd));
        break;
    case CLIENT_RESETS:
        EXPECT(recv(fd, &request, 1, 0) < 0 && errno == ECONNRESET);
        MUST(close(fd));
    }
}

static void *server_main(void *userdata)
{
    struct worker *worker = userdata;
    int fd;

    own_descriptors();
    while ((fd = accept4(worker->run->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        serve(worker, fd);
    EXPECT(errno == EINVAL);
    return NULL;
}

/* ---- clients ---- */

static uint32_t random_below(struct worker *worker, uint32_t limit)
{
    return (uint32_t) rand_r(&worker->seed) % limit;
}

static uint32_t random_octets(struct worker *worker)
{
    return random_below(worker, random_below(worker, 3) ? SHORT_OCTETS : LONG_OCTETS);
}

static void visit(struct worker *worker)
{
    int fd = make_socket(worker->run, CLIENT);
    struct request request;
    char octet;

    MUST(try_connect(worker->run, CLIENT, fd, worker->run->port));
    do {
        request = (struct request){
            .octets = random_octets(worker),
            .answer_octets = random_octets(worker),
            .more = worker->stays && !ended,
            .ending = random_below(worker, _ENDING_MAX),
        };
        EXPECT(send(fd, &request, sizeof(request), 0) == sizeof(request));
        send_plain(fd, request.octets);
        receive_plain(fd, request.answer_octets);
        worker->truth.tx += sizeof(request) + request.octets;
        worker->truth.rx += request.answer_octets;
    } while (request.more);
    worker->truth.connections++;
    switch (request.ending) {
    case SERVER_CLOSES:
        receive_end(fd);
        break;
    case SERVER_RESETS:
        send_plain(fd, 1);
        worker->truth.tx++;
        EXPECT(recv(fd, &octet, 1, 0) < 0 && errno == ECONNRESET);
        break;
    case CLIENT_RESETS:
        reset_socket(fd);
        return;
    }
    MUST(close(fd));
}

static void *client_main(void *userdata)
{
    struct worker *worker = userdata;

    own_descriptors();
    while (!ended)
        visit(worker);
    return NULL;
}

/* ---- all of them ---- */

static struct worker *start(const struct run *run, void *(*main)(void *), unsigned n_staying)
{
    struct worker *workers = calloc(run->threads, sizeof(*workers));

    EXPECT(workers);
    for (unsigned i = 0; i < run->threads; i++) {
        workers[i].run = run;
        workers[i].seed = i + 1;
        workers[i].stays = i < n_staying;
        EXPECT((errno = pthread_create(&workers[i].thread, NULL, main, &workers[i])) == 0);
    }
    return workers;
}

static void join(struct run *run, struct worker *workers, enum end end)
{
    for (unsigned i = 0; i < run->threads; i++) {
        pthread_join(workers[i].thread, NULL);
        run->truth[end].rx += workers[i].truth.rx;
        run->truth[end].tx += workers[i].truth.tx;
        run->truth[end].connections += workers[i].truth.connections;
    }
    free(workers);
}

static void wait_some_seconds(const struct run *run)
{
    nanosleep(&(struct timespec){.tv_sec = run->seconds}, NULL);
}

/** One server for each client, so that nobody waits for a turn. */
static void play(struct run *run, unsigned n_staying, void (*wait)(const struct run *run))
{
    struct worker *servers, *clients;

    start_listening(run);
    servers = start(run, server_main, 0);
    clients = start(run, client_main, n_staying);
    wait(run);
    ended = true;
    join(run, clients, CLIENT);
    MUST(shutdown(run->listener, SHUT_RD));
    join(run, servers, SERVER);
}

static void churn(struct run *run)
{
    play(run, 0, wait_some_seconds);
}

/** Half of the connections stay. */
static void steady(struct run *run)
{
    play(run, run->threads / 2, stage_flowing);
}

static const struct traffic_case cases[] = {
    {"churn", "short connections with every kind of end", churn, NULL, REPEATED},
    {"steady", "connections that stay and others that come and go, until it is told to end", steady,
     NULL, REPEATED},
};

const struct case_table churn_cases = {cases, ELEMENTSOF(cases)};
