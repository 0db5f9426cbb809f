/* SPDX-License-Identifier: MIT */
#include "daemon/manager.h"

#include "daemon/bus.h"
#include "daemon/listener.h"
#include "daemon/monitor.h"
#include "daemon/privileges.h"
#include "shared/format.h"
#include "shared/log.h"
#include "shared/time-util.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

/* After a power cut at most this much is missing. */
#define FLUSH_INTERVAL_SEC 10

struct manager {
    sd_event *event;
    sd_event_source *second;
    struct monitor *monitor;
    struct bus *bus;
    struct config *config;
    config_source source;
    void *source_userdata;
    struct service_info info;
    char **fd_names;                /* what systemd handed to us … */
    struct inherited_fd *inherited; /* … of a predecessor's probe … */
    size_t n_inherited;
    int listener;          /* … and to listen on; -1 if none */
    bool owns_socket;      /* we made it, so we remove it */
    uint64_t flushed_usec; /* CLOCK_BOOTTIME */
    bool counting_fails;
    size_t n_ports_shown; /* what systemd was told last */
    bool ledger_failure_shown;
};

static void manager_done(struct manager *manager)
{
    /* First what is counted is written: a bus that hangs may keep us until we are killed. */
    manager->monitor = monitor_free(manager->monitor);
    manager->bus = bus_free(manager->bus);
    if (manager->owns_socket)
        unlink(manager->config->socket_path);
    manager->second = sd_event_source_disable_unref(manager->second);
    manager->event = sd_event_unref(manager->event);
    manager->config = config_free(manager->config);
    for (char **name = manager->fd_names; name && *name; name++)
        free(*name);
    free(manager->fd_names);
    free(manager->inherited);
    safe_close(manager->listener);
}

/* ---- every second ---- */

/** Arms the timer for the next whole second of the wall clock, which may be set at any time. */
static int arm_second(struct manager *manager)
{
    uint64_t left = USEC_PER_SEC - now_usec(CLOCK_REALTIME) % USEC_PER_SEC;
    int r;

    r = sd_event_source_set_time(manager->second, now_usec(CLOCK_MONOTONIC) + left);
    return r < 0 ? r : sd_event_source_set_enabled(manager->second, SD_EVENT_ONESHOT);
}

static size_t count_ports(const struct manager *manager)
{
    size_t n = 0;

    for (uint16_t port = 0; (port = monitor_next(manager->monitor, port));)
        n++;
    return n;
}

/** What `systemctl status` shows. */
static void notify_status(struct manager *manager)
{
    uint64_t connections = 0, rx_rate = 0, tx_rate = 0;
    bool ledger_fails = monitor_ledger_fails(manager->monitor);
    size_t ports = count_ports(manager);
    char rx[FORMAT_SIZE], tx[FORMAT_SIZE];
    struct live_figures live;

    for (uint16_t port = 0; (port = monitor_next(manager->monitor, port));)
        for (enum role role = 0; role < _ROLE_MAX; role++)
            if (monitor_live(manager->monitor, port, role, &live) >= 0) {
                connections += live.connections;
                rx_rate += live.rx_rate;
                tx_rate += live.tx_rate;
            }
    sd_notifyf(false,
               "STATUS=Watching %zu port%s by %s, %" PRIu64
               " connection%s open, receiving %s, sending %s%s",
               ports, ports == 1 ? "" : "s", monitor_collector(manager->monitor), connections,
               connections == 1 ? "" : "s", format_rate(rx, rx_rate, UNITS_IEC),
               format_rate(tx, tx_rate, UNITS_IEC),
               ledger_fails ? "; the ledger can't be written" : "");
    manager->n_ports_shown = ports;
    manager->ledger_failure_shown = ledger_fails;
}

/** Rates change all the time; whoever looks can do with old ones, but not with these. */
static bool status_is_wrong(const struct manager *manager)
{
    return manager->n_ports_shown != count_ports(manager) ||
           manager->ledger_failure_shown != monitor_ledger_fails(manager->monitor);
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
        notify_status(manager);
    } else if (status_is_wrong(manager))
        notify_status(manager);
    /* Only a loop that turns, counts and comes back from the disk feeds the watchdog. A full disk
     * does not starve it: killing us would mend nothing. */
    if (!manager->counting_fails)
        sd_notify(false, "WATCHDOG=1");
    return arm_second(manager);
}

/* ---- reload ---- */

static void remove_unnamed_ports(struct manager *manager, const struct config *config)
{
    bool any = false;

    for (uint16_t port = 0; (port = monitor_next(manager->monitor, port));) {
        if (config_has_port(config, port) || !monitor_is_configured(manager->monitor, port) ||
            !monitor_unconfigure(manager->monitor, port))
            continue;
        if (monitor_prepare_removal(manager->monitor, port) < 0) {
            log_error("Cannot stop watching port %u: %s", port,
                      monitor_ledger_message(manager->monitor));
            continue;
        }
        bus_announce_removal(manager->bus, port);
        monitor_remove(manager->monitor, port);
        any = true;
    }
    if (any)
        bus_announce_ports(manager->bus);
}

enum port_change {
    PORT_SAME,
    PORT_RENAMED,
    PORT_NEW,
};

/** Whether a port is watched and has another description than the configuration gives it. */
static bool is_renamed(const struct manager *manager, const struct config_port *port)
{
    return *port->description && monitor_watches(manager->monitor, port->port) &&
           strcmp(monitor_description(manager->monitor, port->port), port->description) != 0;
}

static void watch_named_ports(struct manager *manager, const struct config *config)
{
    _cleanup_free_ enum port_change *changes = calloc(config->n_ports ?: 1, sizeof(*changes));
    int r = changes ? 0 : -ENOMEM;
    bool any = false;

    for (size_t i = 0; r >= 0 && i < config->n_ports; i++) {
        const struct config_port *port = &config->ports[i];

        changes[i] = is_renamed(manager, port) ? PORT_RENAMED : PORT_SAME;
        r = monitor_configure(manager->monitor, port->port, port->description, port->cycle_day);
        if (r > 0)
            changes[i] = PORT_NEW;
    }
    if (r >= 0)
        r = monitor_begin_configured(manager->monitor);
    if (r < 0) {
        log_error("Cannot watch the ports that are new in the configuration: %s",
                  r == -ENOMEM ? "out of memory" : monitor_ledger_message(manager->monitor));
        return;
    }
    for (size_t i = 0; i < config->n_ports; i++) {
        uint16_t port = config->ports[i].port;

        if (changes[i] == PORT_NEW) {
            log_port_event(LOG_INFO, MESSAGE_PORT_ADDED, port, "Watching port %u", port);
            bus_announce_port(manager->bus, port);
            any = true;
        } else if (changes[i] == PORT_RENAMED)
            bus_announce_description(manager->bus, port);
    }
    if (any)
        bus_announce_ports(manager->bus);
}

static void warn_if_changed(const char *setting, const char *old, const char *new)
{
    if (strcmp(old, new) != 0)
        log_warning("%s changes from %s to %s with the next restart", setting, old, new);
}

/** Makes a new configuration the running one, but for what is fixed until a restart. */
static void apply(struct manager *manager, struct config *config)
{
    struct config *old = manager->config;

    warn_if_changed("data_dir", old->data_directory, config->data_directory);
    warn_if_changed("socket", old->socket_path, config->socket_path);
    warn_if_changed("collector", collector_kind_to_string(old->collector),
                    collector_kind_to_string(config->collector));
    if (config->log_level != old->log_level) {
        log_info("log_level is %s now", log_level_to_string(config->log_level));
        log_set_level(config->log_level);
    }
    if (config->retention_days != old->retention_days) {
        log_info("retention_days is %u now", config->retention_days);
        manager->info.retention_days = config->retention_days;
        monitor_set_retention(manager->monitor, config->retention_days);
        bus_announce_retention(manager->bus);
    }
    remove_unnamed_ports(manager, config);
    watch_named_ports(manager, config);

    /* What does not change yet stays what it is. */
    char *data_directory = TAKE_PTR(config->data_directory);
    char *socket_path = TAKE_PTR(config->socket_path);
    config->data_directory = TAKE_PTR(old->data_directory);
    config->socket_path = TAKE_PTR(old->socket_path);
    config->collector = old->collector;
    old->data_directory = data_directory;
    old->socket_path = socket_path;
    config_free(old);
    manager->config = config;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    struct manager *manager = userdata;
    struct config *config = NULL;

    sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_usec(CLOCK_MONOTONIC));
    if (manager->source(manager->source_userdata, &config) < 0)
        log_error("The configuration is not valid; the running one stays");
    else {
        apply(manager, config);
        log_info("The configuration was read again");
    }
    sd_notify(false, "READY=1");
    return 0;
}

/* ---- beginning and end ---- */

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    sd_notify(false, "STOPPING=1\nSTATUS=Writing the ledger");
    return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int start_events(struct manager *manager)
{
    sigset_t signals;
    int r;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if ((r = sd_event_default(&manager->event)) < 0 ||
        (r = sd_event_add_signal(manager->event, NULL, SIGTERM, on_stop, NULL)) < 0 ||
        (r = sd_event_add_signal(manager->event, NULL, SIGINT, on_stop, NULL)) < 0 ||
        (r = sd_event_add_signal(manager->event, NULL, SIGHUP, on_reload, manager)) < 0 ||
        (r = sd_event_add_time(manager->event, &manager->second, CLOCK_MONOTONIC, 0, 1, on_second,
                               manager)) < 0)
        return r;
    return arm_second(manager);
}

/* ---- descriptors that systemd hands to us and keeps for our successor ---- */

static int keep_fd(void *userdata, const char *name, int fd)
{
    char state[PROBE_NAME_SIZE + 64];

    /* FDPOLL=0: or systemd would drop what can't be polled, which BPF objects can't. */
    snprintf(state, sizeof(state), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
    return sd_pid_notify_with_fds(0, false, state, &fd, 1);
}

static void drop_fd(void *userdata, const char *name)
{
    sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

/** Sorts what was handed over: a socket to listen on, and a predecessor's probe. */
static int take_fds(struct manager *manager)
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(true, &names);

    if (n <= 0)
        return n;
    manager->fd_names = names;
    manager->inherited = calloc((size_t) n, sizeof(*manager->inherited));
    if (!manager->inherited)
        return -ENOMEM;
    for (int i = 0; i < n; i++) {
        int fd = SD_LISTEN_FDS_START + i;

        if (strncmp(names[i], PROBE_NAME_PREFIX, strlen(PROBE_NAME_PREFIX)) == 0)
            manager->inherited[manager->n_inherited++] = (struct inherited_fd){names[i], fd};
        else if (manager->listener < 0 && sd_is_socket_unix(fd, SOCK_STREAM, true, NULL, 0) > 0)
            manager->listener = fd;
        else
            close(fd);
    }
    return 0;
}

static int start_monitor(struct manager *manager, struct reason *reason)
{
    static const struct probe_keeper keeper = {.keep = keep_fd, .drop = drop_fd};
    const struct config *config = manager->config;
    int r;

    r = monitor_new(&manager->monitor, config->data_directory, config->collector,
                    manager->inherited, manager->n_inherited, reason);
    if (r < 0)
        return r;
    monitor_set_retention(manager->monitor, config->retention_days);
    for (size_t i = 0; i < config->n_ports; i++) {
        const struct config_port *port = &config->ports[i];

        r = monitor_configure(manager->monitor, port->port, port->description, port->cycle_day);
        if (r < 0)
            return fail_errno(reason, r, "Cannot watch port %u", port->port);
    }
    r = monitor_start(manager->monitor, reason);
    if (r < 0)
        return r;
    if (monitor_hand_over(manager->monitor, &keeper, NULL) < 0)
        log_warning("Cannot hand the counters to the service manager; they will not outlive us");
    return 0;
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

/** Makes the socket, unless systemd did. */
static int start_listening(struct manager *manager, struct reason *reason)
{
    if (manager->listener >= 0)
        return 0;
    manager->listener = listener_open(manager->config->socket_path, reason);
    if (manager->listener < 0)
        return manager->listener;
    manager->owns_socket = true;
    return 0;
}

static int start_buses(struct manager *manager, struct reason *reason)
{
    const char *path = manager->config->socket_path;
    struct reason why = {};
    int r;

    r = bus_new(&manager->bus, manager->event, manager->monitor, &manager->info);
    if (r < 0)
        return r;
    r = bus_serve_peers(manager->bus, TAKE_FD(manager->listener));
    if (r < 0)
        return fail_errno(reason, r, "Cannot serve on %s", path);
    r = bus_serve_system(manager->bus, &why);
    if (r < 0)
        log_write(r == -ENOENT ? LOG_INFO : LOG_WARNING, NULL, "%s; serving on %s only", why.text,
                  path);
    return 0;
}

static void say_hello(struct manager *manager)
{
    size_t n = count_ports(manager);

    log_event(LOG_INFO, MESSAGE_START,
              "portmond " PORTMON_VERSION " watches %zu port%s by %s, history in %s", n,
              n == 1 ? "" : "s", monitor_collector(manager->monitor),
              manager->config->data_directory);
    notify_status(manager);
    sd_notify(false, "READY=1");
}

int manager_run(struct config *config, config_source source, void *userdata, struct reason *reason)
{
    _cleanup_(manager_done) struct manager manager = {
        .config = config,
        .source = source,
        .source_userdata = userdata,
        .listener = -1,
        .info =
            {
                .data_directory = config->data_directory,
                .socket_path = config->socket_path,
                .retention_days = config->retention_days,
                .start_usec = now_usec(CLOCK_REALTIME),
            },
        .flushed_usec = now_usec(CLOCK_BOOTTIME),
    };
    int r;

    if ((r = take_fds(&manager)) < 0 || (r = start_events(&manager)) < 0)
        return fail_errno(reason, r, "Cannot set up the event loop");
    if ((r = start_listening(&manager, reason)) < 0 || (r = start_monitor(&manager, reason)) < 0 ||
        (r = start_buses(&manager, reason)) < 0)
        return r;
    drop_privileges(&manager);
    malloc_trim(0); /* loading the programs took megabytes that are not needed again */
    /* Fixed, so that what is large is mapped, and goes back to the system when it is freed. */
    mallopt(M_MMAP_THRESHOLD, 128 << 10);

    say_hello(&manager);
    r = sd_event_loop(manager.event);
    if (r < 0)
        return fail_errno(reason, r, "The event loop failed");
    log_event(LOG_INFO, MESSAGE_STOP, "portmond stops");
    return 0;
}
