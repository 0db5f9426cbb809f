/* SPDX-License-Identifier: MIT */
/* The command line of `traffic`, and its list of cases. */
#include "traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum exit_status {
    STATUS_DONE = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
    STATUS_UNAVAILABLE = 77,
};

/* No case takes half as long, but one that is stuck must end. */
#define PATIENCE_SEC 60

const char *volatile waiting_for;

static const struct case_table *const tables[] = {
    &open_cases,    &use_cases,      &close_cases,  &end_cases,   &abort_cases,
    &process_cases, &protocol_cases, &staged_cases, &churn_cases,
};

/* ---- ends and waits ---- */

void give_up(const char *what, const char *file, int line)
{
    fprintf(stderr, "traffic: %s:%d: %s: %s\n", file, line, what, strerror(errno));
    exit(STATUS_FAILED);
}

void unavailable(const char *reason)
{
    printf("%s\n", reason);
    exit(STATUS_UNAVAILABLE);
}

void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void on_alarm(int number)
{
    static const char begin[] = "traffic: stuck, waiting for ";
    const char *what = waiting_for ?: "a system call";

    struct iovec message[] = {
        {(void *) begin, sizeof(begin) - 1},
        {(void *) what, strlen(what)},
    };

    (void) !writev(STDERR_FILENO, message, ELEMENTSOF(message));
    _exit(STATUS_FAILED);
}

/** Emulated processors are slow; the environment says by how much. */
static unsigned patience_sec(void)
{
    const char *factor = getenv("PORTMON_PATIENCE");

    return PATIENCE_SEC * (factor ? (unsigned) atoi(factor) : 1);
}

/* ---- stages ---- */

static void stage(const char *name)
{
    char answer[2];

    printf("{\"stage\": \"%s\"}\n", name);
    fflush(stdout);
    EXPECT(fgets(answer, sizeof(answer), stdin));
}

void stage_add(struct run *run)
{
    if (run->watched)
        return;
    stage("add");
    run->watched = true;
}

void stage_remove(struct run *run)
{
    stage("remove");
    run->watched = false;
}

void stage_flowing(const struct run *run)
{
    stage("flowing");
}

/* ---- the table ---- */

static void list_cases(void)
{
    static const struct {
        unsigned flag;
        const char *name;
    } flags[] = {
        {EITHER_END, "either-end"}, {PREPARED, "prepared"}, {STAGED, "staged"},
        {UNOWNED, "unowned"},       {HUGE, "huge"},         {REPEATED, "repeated"},
    };

    for (size_t t = 0; t < ELEMENTSOF(tables); t++)
        for (size_t i = 0; i < tables[t]->n; i++) {
            const struct traffic_case *c = &tables[t]->cases[i];

            printf("%s\t", c->name);
            for (size_t f = 0; f < ELEMENTSOF(flags); f++)
                if (c->flags & flags[f].flag)
                    printf("%s ", flags[f].name);
            printf("\t%s\n", c->intent);
        }
}

static const struct traffic_case *find_case(const char *name)
{
    for (size_t t = 0; t < ELEMENTSOF(tables); t++)
        for (size_t i = 0; i < tables[t]->n; i++)
            if (strcmp(tables[t]->cases[i].name, name) == 0)
                return &tables[t]->cases[i];
    return NULL;
}

/* ---- the command line ---- */

static _Noreturn void usage(void)
{
    fputs(
        "traffic --list\n"
        "traffic CASE PORT [OPTIONS]\n"
        "\n"
        "Makes traffic on a TCP port and prints what has to be counted.\n"
        "\n"
        "  --by=client|server              Which end does what the case is about (client)\n"
        "  --family=FAMILY                 v4 (default), v6, or one end with an IPv6 socket\n"
        "                                  and the other with IPv4: mapped-server, mapped-client\n"
        "  --server-netns=, --client-netns=PATH\n"
        "                                  Where the ends live, as in /run/netns\n"
        "  --server-address=, --client-address=ADDRESS\n"
        "                                  How each end is reached (the loopback address)\n"
        "  --ports=N, --seconds=N, --threads=N\n"
        "                                  For cases that repeat themselves (1)\n",
        stderr);
    exit(STATUS_USAGE);
}

static const struct family {
    const char *name;
    int family[_END_MAX];
    const char *loopback;
} families[] = {
    {"v4", {[CLIENT] = AF_INET, [SERVER] = AF_INET}, "127.0.0.1"},
    {"v6", {[CLIENT] = AF_INET6, [SERVER] = AF_INET6}, "::1"},
    {"mapped-server", {[CLIENT] = AF_INET, [SERVER] = AF_INET6}, "127.0.0.1"},
    {"mapped-client", {[CLIENT] = AF_INET6, [SERVER] = AF_INET}, "127.0.0.1"},
};

static const struct family *find_family(const char *name)
{
    for (size_t i = 0; i < ELEMENTSOF(families); i++)
        if (strcmp(families[i].name, name) == 0)
            return &families[i];
    usage();
}

static enum end parse_end(const char *name)
{
    if (strcmp(name, "client") != 0 && strcmp(name, "server") != 0)
        usage();
    return *name == 'c' ? CLIENT : SERVER;
}

static unsigned parse_number(const char *text, unsigned max)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    if (end == text || *end || number == 0 || number > max)
        usage();
    return (unsigned) number;
}

static void parse_address(const char *text, struct in6_addr *ret)
{
    char mapped[INET6_ADDRSTRLEN + 7];

    snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') ? "" : "::ffff:", text);
    if (inet_pton(AF_INET6, mapped, ret) != 1)
        usage();
}

static void parse_arguments(struct run *run, int argc, char *argv[])
{
    enum {
        BY = 0x100,
        FAMILY,
        NETNS,
        ADDRESS = NETNS + _END_MAX,
        PORTS = ADDRESS + _END_MAX,
        SECONDS,
        THREADS
    };
    static const struct option options[] = {
        {"by", required_argument, NULL, BY},
        {"family", required_argument, NULL, FAMILY},
        {"client-netns", required_argument, NULL, NETNS + CLIENT},
        {"server-netns", required_argument, NULL, NETNS + SERVER},
        {"client-address", required_argument, NULL, ADDRESS + CLIENT},
        {"server-address", required_argument, NULL, ADDRESS + SERVER},
        {"ports", required_argument, NULL, PORTS},
        {"seconds", required_argument, NULL, SECONDS},
        {"threads", required_argument, NULL, THREADS},
        {},
    };
    const struct family *family = &families[0];
    const char *address[_END_MAX] = {};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
        switch (option) {
        case BY:
            run->actor = parse_end(optarg);
            break;
        case FAMILY:
            family = find_family(optarg);
            break;
        case NETNS + CLIENT:
        case NETNS + SERVER:
            run->network_namespace[option - NETNS] = MUST(open(optarg, O_RDONLY | O_CLOEXEC));
            break;
        case ADDRESS + CLIENT:
        case ADDRESS + SERVER:
            address[option - ADDRESS] = optarg;
            break;
        case PORTS:
            run->ports = parse_number(optarg, UINT16_MAX - run->port + 1U);
            break;
        case SECONDS:
            run->seconds = parse_number(optarg, 3600);
            break;
        case THREADS:
            run->threads = parse_number(optarg, 64);
            break;
        default:
            usage();
        }
    for (enum end end = 0; end < _END_MAX; end++) {
        run->family[end] = family->family[end];
        parse_address(address[end] ?: family->loopback, &run->address[end]);
    }
    run->peer = other(run->actor);
}

static void print_truth(const struct run *run)
{
    const struct truth *s = &run->truth[SERVER], *c = &run->truth[CLIENT];

    printf("{\"server\": {\"rx\": %ju, \"tx\": %ju, \"connections\": %u}, "
           "\"client\": {\"rx\": %ju, \"tx\": %ju, \"connections\": %u}}\n",
           (uintmax_t) s->rx, (uintmax_t) s->tx, s->connections, (uintmax_t) c->rx,
           (uintmax_t) c->tx, c->connections);
}

int main(int argc, char *argv[])
{
    struct run run = {
        .network_namespace = {-1, -1},
        .ports = 1,
        .seconds = 1,
        .threads = 1,
        .listener = -1,
        .fd = {-1, -1},
    };
    const struct traffic_case *performed;

    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        list_cases();
        return STATUS_DONE;
    }
    if (argc < 3)
        usage();
    performed = find_case(argv[1]);
    if (!performed)
        usage();
    run.port = (uint16_t) parse_number(argv[2], UINT16_MAX);
    parse_arguments(&run, argc - 2, argv + 2);
    run.plan = performed->plan;
    run.watched = !(performed->flags & STAGED);

    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, on_alarm);
    alarm(patience_sec() + run.seconds);
    performed->perform(&run);
    print_truth(&run);
    return STATUS_DONE;
}
