/* SPDX-License-Identifier: MIT */
#include "daemon/manager.h"

#include "daemon/bus.h"
#include "daemon/listener.h"
#include "daemon/monitor.h"
#include "daemon/privileges.h"
#include "shared/log.h"
#include "shared/time-util.h"

#include <errno.h>
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

/* After a power cut at most this much is missing. */
#define FLUSH_INTERVAL_SEC 10

struct manager {
    sd_event *event;
    sd_event_source *second;
    struct monitor *monitor;
    struct bus *bus;
    struct service_info info;
    uint64_t flushed_usec; /* CLOCK_BOOTTIME */
    bool counting_fails;
};

static void manager_done(struct manager *manager)
{
    manager->bus = bus_free(manager->bus);
    manager->monitor = monitor_free(manager->monitor);
    manager->second = sd_event_source_disable_unref(manager->second);
    manager->event = sd_event_unref(manager->event);
}

/** Arms the timer for the next whole second of the wall clock, which may be set at any time. */
static int arm_second(struct manager *manager)
{
    uint64_t left = USEC_PER_SEC - now_usec(CLOCK_REALTIME) % USEC_PER_SEC;
    int r;

    r = sd_event_source_set_time(manager->second, now_usec(CLOCK_MONOTONIC) + left);
    return r < 0 ? r : sd_event_source_set_enabled(manager->second, SD_EVENT_ONESHOT);
}

static int on_second(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct manager *manager = userdata;
    uint64_t now = now_usec(CLOCK_BOOTTIME);
    int r;

    calendar_refresh_zone();
    r = monitor_tick(manager->monitor);
    if (r < 0 && !manager->counting_fails)
        log_error("Cannot read the kernel's counters: %s", strerrordesc_np(-r));
    manager->counting_fails = r < 0;
    if (now - manager->flushed_usec >= FLUSH_INTERVAL_SEC * USEC_PER_SEC) {
        manager->flushed_usec = now;
        monitor_flush(manager->monitor); /* it has logged why it failed, and tries again */
    }
    return arm_second(manager);
}

static int on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *info,
                          void *userdata)
{
    sd_notify(false, "STOPPING=1");
    log_debug("Got signal %s", sigabbrev_np((int) info->ssi_signo));
    return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int start_events(struct manager *manager)
{
    sigset_t signals;
    int r;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if ((r = sd_event_default(&manager->event)) < 0 ||
        (r = sd_event_add_signal(manager->event, NULL, SIGTERM, on_stop_signal, NULL)) < 0 ||
        (r = sd_event_add_signal(manager->event, NULL, SIGINT, on_stop_signal, NULL)) < 0 ||
        (r = sd_event_add_time(manager->event, &manager->second, CLOCK_MONOTONIC, 0, 1, on_second,
                               manager)) < 0)
        return r;
    return arm_second(manager);
}

static int start_monitor(struct manager *manager, const struct config *config,
                         struct reason *reason)
{
    int r;

    r = monitor_new(&manager->monitor, config->data_directory, reason);
    if (r < 0)
        return r;
    for (size_t i = 0; i < config->n_ports; i++) {
        r = monitor_configure(manager->monitor, config->ports[i].port,
                              config->ports[i].description);
        if (r < 0)
            return fail_errno(reason, r, "Cannot watch port %u", config->ports[i].port);
    }
    return monitor_start(manager->monitor, reason);
}

/** From here on we count, and what that takes is open. */
static void drop_privileges(struct manager *manager)
{
    uint64_t kept = 0;
    int r;

    if (!monitor_works_unprivileged(manager->monitor)) {
        kept = CAPABILITY(CAP_BPF);
        log_info("This kernel reads BPF maps for CAP_BPF only, so it is kept");
    }
    if (geteuid() == 0)
        kept |= CAPABILITY(CAP_DAC_OVERRIDE); /* the data directory may be somebody else's */
    r = privileges_keep_only(kept);
    if (r < 0)
        log_warning("Cannot give up capabilities: %s", strerrordesc_np(-r));
}

static int start_buses(struct manager *manager, const struct config *config, struct reason *reason)
{
    struct reason why = {};
    int r, fd;

    r = bus_new(&manager->bus, manager->event, manager->monitor, &manager->info);
    if (r < 0)
        return r;
    fd = listener_open(config->socket_path, reason);
    if (fd < 0)
        return fd;
    r = bus_serve_peers(manager->bus, fd);
    if (r < 0)
        return fail_errno(reason, r, "Cannot serve on %s", config->socket_path);
    r = bus_serve_system(manager->bus, &why);
    if (r < 0)
        log_write(r == -ENOENT ? LOG_INFO : LOG_WARNING, NULL, "%s; serving on %s only", why.text,
                  config->socket_path);
    return 0;
}

int manager_run(const struct config *config, struct reason *reason)
{
    _cleanup_(manager_done) struct manager manager = {};
    size_t n_ports = 0;
    int r;

    manager.info = (struct service_info){
        .data_directory = config->data_directory,
        .socket_path = config->socket_path,
        .retention_days = config->retention_days,
        .start_usec = now_usec(CLOCK_REALTIME),
    };
    manager.flushed_usec = now_usec(CLOCK_BOOTTIME);
    r = start_events(&manager);
    if (r < 0)
        return fail_errno(reason, r, "Cannot set up the event loop");
    if ((r = start_monitor(&manager, config, reason)) < 0 ||
        (r = start_buses(&manager, config, reason)) < 0)
        return r;
    drop_privileges(&manager);
    malloc_trim(0); /* loading the programs took megabytes that are not needed again */

    for (uint16_t port = 0; (port = monitor_next(manager.monitor, port));)
        n_ports++;
    log_event(LOG_INFO, MESSAGE_START,
              "portmond " PORTMON_VERSION " watches %zu port%s by %s, history in %s", n_ports,
              n_ports == 1 ? "" : "s", monitor_collector(manager.monitor), config->data_directory);
    sd_notify(false, "READY=1");
    r = sd_event_loop(manager.event);
    if (r < 0)
        return fail_errno(reason, r, "The event loop failed");
    unlink(config->socket_path);
    log_event(LOG_INFO, MESSAGE_STOP, "portmond stops");
    return 0;
}
