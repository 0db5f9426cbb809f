/* SPDX-License-Identifier: MIT */
/*
 * Traffic to measure by, over IPv4: one server, and clients of a few kinds. A client says when it
 * has connected and when it is done, and waits for a line on standard input each time, so that
 * somebody can look before, between and after. What it did is one line of JSON.
 */
#include "shared/time-util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define ELEMENTSOF(array) (sizeof(array) / sizeof(*(array)))
#define CHUNK             ((size_t) 128 * 1024)

/* Connections from one address to one port, below the number of ephemeral ports. */
#define CONNECTIONS_OF_ADDRESS 20000

/* What a client begins with: what the server is to do with the connection. */
enum { SINK = 's', ECHO = 'e', HOLD = 'h' };

struct job {
    struct sockaddr_in server;
    uint64_t count; /* what is to be done, if not 0 … */
    uint64_t usec;  /* … or else for how long */
    bool wait;
    uint64_t tx; /* octets */
    uint64_t rx;
    uint64_t messages;
    uint64_t connections;
    uint64_t elapsed_usec;
    uint64_t cpu_usec; /* of this process; a wait for the processor is not in it */
};

static char buffer[CHUNK];

_Noreturn static void give_up(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

#define MUST(call)                  \
    ({                              \
        __auto_type must_ = (call); \
        if (must_ < 0)              \
            give_up(#call);         \
        must_;                      \
    })

static void start_clock(struct job *job)
{
    job->elapsed_usec = now_usec(CLOCK_MONOTONIC);
    job->cpu_usec = now_usec(CLOCK_PROCESS_CPUTIME_ID);
}

static void stop_clock(struct job *job)
{
    job->elapsed_usec = now_usec(CLOCK_MONOTONIC) - job->elapsed_usec;
    job->cpu_usec = now_usec(CLOCK_PROCESS_CPUTIME_ID) - job->cpu_usec;
}

/** Tells that we are there, and waits until we shall go on. */
static void stage(const struct job *job, const char *name)
{
    if (!job->wait)
        return;
    printf("%s\n", name);
    fflush(stdout);
    if (getchar() == EOF)
        exit(0);
}

/**
 * When this process has as many descriptors as it may have, a child takes its place and begins with
 * none but those up to @last. It ends when we end.
 */
static void multiply(int last)
{
    if (errno != EMFILE)
        give_up("no more descriptors");
    if (MUST(fork()))
        for (;;)
            pause();
    MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
    MUST(close_range((unsigned) last + 1, ~0U, 0));
}

static void set_nodelay(int fd)
{
    MUST(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)));
}

/* ---- the server: one connection after the other, but for those that are held ---- */

static void serve(const struct job *job)
{
    int listener = MUST(socket(AF_INET, SOCK_STREAM, 0)), fd;
    ssize_t n;
    char kind;

    MUST(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)));
    MUST(bind(listener, (const void *) &job->server, sizeof(job->server)));
    MUST(listen(listener, SOMAXCONN));
    puts("listening");
    fflush(stdout);
    for (;;) {
        fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            multiply(listener);
            continue;
        }
        if (recv(fd, &kind, 1, 0) == 1 && kind == HOLD) {
            MUST(send(fd, &kind, 1, 0));
            continue; /* open until we end */
        }
        if (kind == ECHO)
            set_nodelay(fd);
        while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0)
            if (kind == ECHO && send(fd, buffer, (size_t) n, 0) < 0)
                break;
        close(fd);
    }
}

/* ---- clients ---- */

static void send_all(struct job *job, int fd, size_t octets)
{
    MUST(send(fd, buffer, octets, 0));
    job->tx += octets;
    job->messages++;
}

static int dial(struct job *job, char kind)
{
    int fd;

    while ((fd = socket(AF_INET, SOCK_STREAM, 0)) < 0)
        multiply(STDERR_FILENO);
    if (kind == HOLD) { /* many may be: from more than one address */
        struct sockaddr_in local = {
            .sin_family = AF_INET,
            .sin_addr.s_addr = htonl(ntohl(job->server.sin_addr.s_addr) + 1 +
                                     (uint32_t) (job->connections / CONNECTIONS_OF_ADDRESS)),
        };

        MUST(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int)));
        MUST(bind(fd, (const void *) &local, sizeof(local)));
    }
    MUST(connect(fd, (const void *) &job->server, sizeof(job->server)));
    set_nodelay(fd);
    MUST(send(fd, &kind, 1, 0));
    job->tx++;
    job->connections++;
    return fd;
}

/** Closes a connection once the server has read everything and closed it too. */
static void hang_up(int fd)
{
    MUST(shutdown(fd, SHUT_WR));
    while (MUST(recv(fd, buffer, sizeof(buffer), 0)) > 0)
        ;
    close(fd);
}

static bool goes_on(const struct job *job, uint64_t done)
{
    return job->count ? done < job->count
                      : now_usec(CLOCK_MONOTONIC) - job->elapsed_usec < job->usec;
}

/** As much as goes through one connection. */
static void bulk(struct job *job)
{
    int fd = dial(job, SINK);

    stage(job, "open");
    start_clock(job);
    while (goes_on(job, job->tx))
        send_all(job, fd, CHUNK);
    hang_up(fd);
    stop_clock(job);
}

/** One octet there and one back, again and again. */
static void ping(struct job *job)
{
    int fd = dial(job, ECHO);

    stage(job, "open");
    start_clock(job);
    while (goes_on(job, job->messages)) {
        send_all(job, fd, 1);
        job->rx += (uint64_t) MUST(recv(fd, buffer, 1, 0));
        job->messages++;
    }
    stop_clock(job);
    stage(job, "done");
    hang_up(fd);
}

/** Short connections with one octet each way. */
static void churn(struct job *job)
{
    stage(job, "ready");
    start_clock(job);
    while (goes_on(job, job->connections)) {
        int fd = dial(job, ECHO);

        send_all(job, fd, 1);
        job->rx += (uint64_t) MUST(recv(fd, buffer, 1, 0));
        hang_up(fd);
    }
    stop_clock(job);
}

/** Connections that stay open. No more than one waits to be accepted. */
static void hold(struct job *job)
{
    while (job->connections < job->count)
        job->rx += (uint64_t) MUST(recv(dial(job, HOLD), buffer, 1, 0));
    stage(job, "open");
}

/* ---- the command line ---- */

static const struct {
    const char *name;
    void (*perform)(struct job *job);
} kinds[] = {{"bulk", bulk}, {"ping", ping}, {"churn", churn}, {"hold", hold}};

_Noreturn static void usage(void)
{
    fputs("usage: load serve ADDRESS PORT\n"
          "       load bulk|ping|churn ADDRESS PORT SECONDS|xCOUNT [wait]\n"
          "       load hold ADDRESS PORT xCOUNT wait\n",
          stderr);
    exit(2);
}

/** "0.5" is half a second, "x1000" a thousand of what is done. */
static void parse_amount(struct job *job, const char *text)
{
    if (*text == 'x')
        job->count = strtoull(text + 1, NULL, 10);
    else
        job->usec = (uint64_t) (strtod(text, NULL) * (double) USEC_PER_SEC);
    if (!job->count && !job->usec)
        usage();
}

int main(int argc, char *argv[])
{
    struct job job = {.server.sin_family = AF_INET};

    if (argc < 4 || inet_pton(AF_INET, argv[2], &job.server.sin_addr) != 1)
        usage();
    job.server.sin_port = htons((uint16_t) atoi(argv[3]));
    job.wait = argc > 5;
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(argv[1], "serve") == 0)
        serve(&job);
    if (argc < 5)
        usage();
    parse_amount(&job, argv[4]);
    for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
        if (strcmp(kinds[i].name, argv[1]) != 0)
            continue;
        kinds[i].perform(&job);
        printf("{\"tx\": %ju, \"rx\": %ju, \"messages\": %ju, \"connections\": %ju, "
               "\"sec\": %.6f, \"cpu_sec\": %.6f}\n",
               (uintmax_t) job.tx, (uintmax_t) job.rx, (uintmax_t) job.messages,
               (uintmax_t) job.connections, (double) job.elapsed_usec / (double) USEC_PER_SEC,
               (double) job.cpu_usec / (double) USEC_PER_SEC);
        return 0;
    }
    usage();
}
