/* SPDX-License-Identifier: MIT */
/* A line for each port every so many seconds, and what it came to when interrupted. */
#include "client/verbs.h"
#include "shared/time-util.h"

#include <errno.h>
#include <inttypes.h>
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

static void print_line(struct watch *watch, struct watched *watched, const struct port_stats *stats,
                       uint64_t now)
{
    const struct arguments *arguments = &watch->context->arguments;
    const struct role_figures *f = &stats->role[arguments->role];
    char rx[FORMAT_SIZE], tx[FORMAT_SIZE], today_rx[FORMAT_SIZE], today_tx[FORMAT_SIZE];
    char stamp[FORMAT_SIZE];
    uint64_t elapsed = now - watch->last_usec, rx_rate, tx_rate;
    time_t sec = time(NULL);
    struct tm tm;

    if (!watched->seen) {
        watched->first = watched->last = *f;
        watched->seen = true;
        return;
    }
    rx_rate = per_second(f->rx_bytes - watched->last.rx_bytes, elapsed);
    tx_rate = per_second(f->tx_bytes - watched->last.tx_bytes, elapsed);
    if (rx_rate > watched->peak_rx_rate)
        watched->peak_rx_rate = rx_rate;
    if (tx_rate > watched->peak_tx_rate)
        watched->peak_tx_rate = tx_rate;
    watched->last = *f;

    if (watch->lines % LINES_PER_PAGE == 0 && (watch->lines == 0 || isatty(STDOUT_FILENO)))
        printf("%-8s  %5s  %14s  %14s  %12s  %12s  %5s\n", "TIME", "PORT", "RX RATE", "TX RATE",
               "TODAY RX", "TODAY TX", "OPEN");
    watch->lines++;
    if (arguments->utc)
        gmtime_r(&sec, &tm);
    else
        localtime_r(&sec, &tm);
    strftime(stamp, sizeof(stamp), "%T", &tm);
    printf("%-8s  %5u  %14s  %14s  %12s  %12s  %5" PRIu64 "\n", stamp, stats->port,
           format_rate(rx, rx_rate, arguments->units), format_rate(tx, tx_rate, arguments->units),
           format_bytes(today_rx, f->today_rx_bytes, arguments->units),
           format_bytes(today_tx, f->today_tx_bytes, arguments->units), f->connections);
}

static void print_summary(const struct watch *watch)
{
    char rx[FORMAT_SIZE], tx[FORMAT_SIZE], rx_rate[FORMAT_SIZE], tx_rate[FORMAT_SIZE];
    char peak_rx[FORMAT_SIZE], peak_tx[FORMAT_SIZE], duration[FORMAT_SIZE];
    uint64_t elapsed = watch->last_usec - watch->started_usec;
    enum unit_system units = watch->context->arguments.units;

    for (size_t i = 0; i < watch->n; i++) {
        const struct watched *w = &watch->ports[i];
        uint64_t received = w->last.rx_bytes - w->first.rx_bytes;
        uint64_t sent = w->last.tx_bytes - w->first.tx_bytes;

        printf("%sPort %u, %s: %s received (%s, peak %s), %s sent (%s, peak %s), %" PRIu64
               " connections\n",
               i ? "" : "\n", w->port, format_duration(duration, elapsed),
               format_bytes(rx, received, units),
               format_rate(rx_rate, per_second(received, elapsed), units),
               format_rate(peak_rx, w->peak_rx_rate, units), format_bytes(tx, sent, units),
               format_rate(tx_rate, per_second(sent, elapsed), units),
               format_rate(peak_tx, w->peak_tx_rate, units),
               w->last.connections_total - w->first.connections_total);
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
    uint64_t now = now_usec(CLOCK_BOOTTIME);
    int r;

    for (size_t i = 0; i < watch->n; i++) {
        _cleanup_port_stats_ struct port_stats stats = {};

        r = monitor_client_stats(watch->context->client, watch->ports[i].port, &stats, reason);
        if (r < 0)
            return r;
        print_line(watch, &watch->ports[i], &stats, now);
    }
    watch->last_usec = now;
    return fflush(stdout) == 0 ? 0 : -EIO;
}

static void wait_for_next(const struct watch *watch, unsigned interval_sec)
{
    uint64_t next = watch->last_usec + interval_sec * USEC_PER_SEC;
    const struct timespec until = {
        .tv_sec = (time_t) (next / USEC_PER_SEC),
        .tv_nsec = (long) (next % USEC_PER_SEC * NSEC_PER_USEC),
    };

    clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &until, NULL);
}

int verb_watch(struct context *context)
{
    const struct sigaction action = {.sa_handler = on_signal};
    struct watch watch = {.context = context};
    struct reason reason = {};
    int r;

    if ((r = context_connect(context, &reason)) < 0 || (r = list_ports(&watch, &reason)) < 0)
        return report_failure(context, &reason, r);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    watch.started_usec = now_usec(CLOCK_BOOTTIME);
    while (!interrupted && (r = print_lines(&watch, &reason)) >= 0)
        wait_for_next(&watch, context->arguments.interval_sec);
    print_summary(&watch);
    free(watch.ports);
    /* A call that a signal broke off is no failure. */
    return r < 0 && !interrupted ? report_failure(context, &reason, r) : STATUS_DONE;
}
