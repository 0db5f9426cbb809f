/* SPDX-License-Identifier: MIT */
/* A line for each port every so many seconds, and what it came to when interrupted. */
#include "client/json.h"
#include "client/verbs.h"
#include "shared/time-util.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

/* Lines after which the titles are printed again on a terminal. */
#define LINES_PER_PAGE 20

/** What is remembered of a port between lines. */
struct watched {
    uint16_t port;
    bool seen;
    struct role_figures first; /* when it was first seen … */
    struct role_figures last;  /* … and at the last line */
    uint64_t peak_rx_rate;     /* bytes per second, of the lines' intervals */
    uint64_t peak_tx_rate;
};

struct watch {
    struct context *context;
    struct watched *ports;
    size_t n;
    uint64_t started_usec; /* CLOCK_BOOTTIME */
    uint64_t last_usec;
    unsigned lines;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = 1;
}

static uint64_t per_second(uint64_t bytes, uint64_t usec)
{
    return (uint64_t) ((unsigned __int128) bytes * USEC_PER_SEC / (usec ?: 1));
}

/** The rates of a port since the last line. */
struct rates {
    uint64_t rx_rate; /* bytes per second */
    uint64_t tx_rate;
};

/** Measures a port, and remembers it for the next line. Returns false the first time. */
static bool measure(const struct watch *watch, struct watched *watched,
                    const struct role_figures *figures, uint64_t now, struct rates *ret)
{
    uint64_t elapsed = now - watch->last_usec;
    bool seen = watched->seen;

    if (!seen)
        watched->first = watched->last = *figures;
    watched->seen = true;
    ret->rx_rate = per_second(figures->rx_bytes - watched->last.rx_bytes, elapsed);
    ret->tx_rate = per_second(figures->tx_bytes - watched->last.tx_bytes, elapsed);
    if (ret->rx_rate > watched->peak_rx_rate)
        watched->peak_rx_rate = ret->rx_rate;
    if (ret->tx_rate > watched->peak_tx_rate)
        watched->peak_tx_rate = ret->tx_rate;
    watched->last = *figures;
    return seen;
}

static void print_line(struct watch *watch, uint16_t port, const struct role_figures *f,
                       const struct rates *rates)
{
    const struct arguments *arguments = &watch->context->arguments;
    char rx[FORMAT_SIZE], tx[FORMAT_SIZE], today_rx[FORMAT_SIZE], today_tx[FORMAT_SIZE];
    char stamp[FORMAT_SIZE];
    time_t sec = time(NULL);
    struct tm tm;

    if (watch->lines % LINES_PER_PAGE == 0 && (watch->lines == 0 || isatty(STDOUT_FILENO)))
        printf("%-8s  %5s  %13s  %13s  %11s  %11s  %5s\n", "TIME", "PORT", "RX RATE", "TX RATE",
               "TODAY RX", "TODAY TX", "OPEN");
    watch->lines++;
    if (arguments->utc)
        gmtime_r(&sec, &tm);
    else
        localtime_r(&sec, &tm);
    strftime(stamp, sizeof(stamp), "%T", &tm);
    printf("%-8s  %5u  %13s  %13s  %11s  %11s  %5" PRIu64 "\n", stamp, port,
           format_rate(rx, rates->rx_rate, arguments->units),
           format_rate(tx, rates->tx_rate, arguments->units),
           format_bytes(today_rx, f->today_rx_bytes, arguments->units),
           format_bytes(today_tx, f->today_tx_bytes, arguments->units), f->connections);
}

static int print_json(const struct watch *watch, uint16_t port, const struct role_figures *figures,
                      const struct rates *rates)
{
    const struct arguments *arguments = &watch->context->arguments;
    _cleanup_(json_freep) struct json_object *json = NULL;
    struct role_figures line = *figures;

    line.rx_rate = rates->rx_rate;
    line.tx_rate = rates->tx_rate;
    json = json_line(port, arguments->role, &line, now_usec(CLOCK_REALTIME), arguments->utc);
    return json_print_line(json);
}

static void print_sum(const struct watched *watched, uint64_t elapsed, enum unit_system units)
{
    char rx[FORMAT_SIZE], tx[FORMAT_SIZE], rx_rate[FORMAT_SIZE], tx_rate[FORMAT_SIZE];
    char peak_rx[FORMAT_SIZE], peak_tx[FORMAT_SIZE], duration[FORMAT_SIZE];
    uint64_t received = watched->last.rx_bytes - watched->first.rx_bytes;
    uint64_t sent = watched->last.tx_bytes - watched->first.tx_bytes;

    printf("Port %u, %s: %s received (%s, peak %s), %s sent (%s, peak %s), %" PRIu64
           " connections\n",
           watched->port, format_duration(duration, elapsed), format_bytes(rx, received, units),
           format_rate(rx_rate, per_second(received, elapsed), units),
           format_rate(peak_rx, watched->peak_rx_rate, units), format_bytes(tx, sent, units),
           format_rate(tx_rate, per_second(sent, elapsed), units),
           format_rate(peak_tx, watched->peak_tx_rate, units),
           watched->last.connections_total - watched->first.connections_total);
}

/** Prints what it came to, if anything was measured. */
static void print_summary(const struct watch *watch)
{
    bool any = false;

    for (size_t i = 0; i < watch->n; i++) {
        if (!watch->ports[i].seen)
            continue;
        if (!any)
            putchar('\n');
        any = true;
        print_sum(&watch->ports[i], watch->last_usec - watch->started_usec,
                  watch->context->arguments.units);
    }
}

/** Finds which ports to watch: the one that was given, or those there are now. */
static int list_ports(struct watch *watch, struct reason *reason)
{
    _cleanup_port_list_ struct port_list ports = {};
    struct context *context = watch->context;
    int r;

    if (!context->arguments.port) {
        r = monitor_client_list_ports(context->client, &ports, reason);
        if (r < 0)
            return r;
    }
    watch->n = context->arguments.port ? 1 : ports.n;
    watch->ports = calloc(watch->n ?: 1, sizeof(*watch->ports));
    if (!watch->ports)
        return -ENOMEM;
    for (size_t i = 0; i < watch->n; i++)
        watch->ports[i].port = context->arguments.port ?: ports.ports[i].port;
    return 0;
}

static int print_lines(struct watch *watch, struct reason *reason)
{
    const struct arguments *arguments = &watch->context->arguments;
    uint64_t now = now_usec(CLOCK_BOOTTIME);
    const struct role_figures *figures;
    struct rates rates;
    int r;

    for (size_t i = 0; i < watch->n; i++) {
        _cleanup_port_stats_ struct port_stats stats = {};

        r = monitor_client_stats(watch->context->client, watch->ports[i].port, &stats, reason);
        if (r == -ENOENT && !arguments->port)
            continue; /* of all one was removed */
        if (r < 0)
            return r;
        figures = &stats.role[arguments->role];
        if (!measure(watch, &watch->ports[i], figures, now, &rates))
            continue;
        if (!arguments->json)
            print_line(watch, stats.port, figures, &rates);
        else if ((r = print_json(watch, stats.port, figures, &rates)) < 0)
            return r;
    }
    watch->last_usec = now;
    return fflush(stdout) == 0 ? 0 : fail_errno(reason, -errno, "Cannot write the output");
}

/** Sleeps until the next line is due or a signal comes, also one that has just come. */
static void wait_for_next(const struct watch *watch, unsigned interval_sec)
{
    uint64_t next = watch->last_usec + interval_sec * USEC_PER_SEC, now;
    sigset_t blocked, before;
    struct timespec left;

    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    now = now_usec(CLOCK_BOOTTIME);
    if (!interrupted && now < next) {
        left = (struct timespec){
            .tv_sec = (time_t) ((next - now) / USEC_PER_SEC),
            .tv_nsec = (long) ((next - now) % USEC_PER_SEC * NSEC_PER_USEC),
        };
        ppoll(NULL, 0, &left, &before);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
}

int verb_watch(struct context *context)
{
    /* A second signal ends us, should a call hang. */
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
    struct watch watch = {.context = context};
    struct reason reason = {};
    int r;

    if ((r = context_connect(context, &reason)) < 0 || (r = list_ports(&watch, &reason)) < 0)
        return report_failure(context, &reason, r);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    watch.started_usec = watch.last_usec = now_usec(CLOCK_BOOTTIME);
    while (!interrupted && (r = print_lines(&watch, &reason)) >= 0)
        wait_for_next(&watch, context->arguments.interval_sec);
    if (!context->arguments.json && r != -EPIPE)
        print_summary(&watch);
    free(watch.ports);
    /* A call that a signal broke off is no failure. */
    return r < 0 && !interrupted ? report_failure(context, &reason, r) : STATUS_DONE;
}
