/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* How long a reboot takes. */
#define REBOOT_USEC (40 * USEC_PER_SEC)

/* How long the host has been up in the beginning. */
#define UPTIME_USEC (1000 * USEC_PER_SEC)

struct world *world;

void world_make(uint64_t start_usec)
{
    if (world)
        munmap(world, sizeof(*world));
    world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (world == MAP_FAILED)
        abort();
    world->start_usec = start_usec;
    world->boots = 1;
    world->boottime_usec = UPTIME_USEC;
}

/* ---- clocks ---- */

static uint64_t right_usec(void)
{
    return world->start_usec + world->boottime_usec - UPTIME_USEC;
}

static uint64_t clock_usec(clockid_t clock)
{
    switch (clock) {
    case CLOCK_REALTIME:
        return usec_shift(right_usec(), world->wrong_usec);
    case CLOCK_BOOTTIME:
        return world->boottime_usec;
    default:
        return world->boottime_usec - world->asleep_usec;
    }
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    uint64_t usec;

    if (!world)
        return (int) syscall(SYS_clock_gettime, clock, ret);
    usec = clock_usec(clock);
    ret->tv_sec = (time_t) (usec / USEC_PER_SEC);
    ret->tv_nsec = (long) (usec % USEC_PER_SEC * NSEC_PER_USEC);
    return 0;
}

uint64_t world_second(void)
{
    return (right_usec() - world->start_usec) / USEC_PER_SEC;
}

uint64_t world_time(uint64_t second)
{
    return world->start_usec + second * USEC_PER_SEC;
}

void world_pass(uint64_t usec)
{
    world->boottime_usec += usec;
}

void world_pass_second(void)
{
    const uint64_t late = 1234; /* no timer is exact */

    world->boottime_usec = usec_floor(world->boottime_usec, USEC_PER_SEC) + USEC_PER_SEC + late;
}

void world_sleep(uint64_t usec)
{
    world->boottime_usec += usec;
    world->asleep_usec += usec;
}

/* Here CLOCK_BOOTTIME goes on, which makes no difference to who can't know. */
void world_reboot(void)
{
    world->boots++;
    world->epoch = 0;
    world->kept = false;
    world->boottime_usec += REBOOT_USEC;
}

int sd_id128_get_boot(sd_id128_t *ret)
{
    *ret = (sd_id128_t){.qwords = {0xb007, world->boots}};
    return 0;
}

/* ---- traffic ---- */

static void add(struct traffic *traffic, uint64_t rx_bytes, uint64_t tx_bytes)
{
    const struct traffic more = {rx_bytes, tx_bytes, rx_bytes / 1000 + 1, tx_bytes / 1000 + 1, 1};

    traffic_add(traffic, &more);
}

static void count(struct counters *counters, uint64_t rx_bytes, uint64_t tx_bytes)
{
    counters->rx_bytes += rx_bytes;
    counters->tx_bytes += tx_bytes;
    counters->rx_packets += rx_bytes / 1000 + 1;
    counters->tx_packets += tx_bytes / 1000 + 1;
    counters->opened++;
}

void world_traffic(unsigned port, enum role role, uint64_t rx_bytes, uint64_t tx_bytes)
{
    uint64_t second = world_second();

    if (second >= MAX_SECONDS)
        abort();
    if (world->wanted[port])
        add(&world->seconds[second].truth[port][role], rx_bytes, tx_bytes);
    if (world->epoch && world->watched[FIRST_PORT + port])
        count(&world->counters[port][role], rx_bytes, tx_bytes);
}

void world_any_traffic(void)
{
    uint64_t second = world_second();

    for (unsigned port = 0; port < N_PORTS; port++)
        for (enum role role = 0; role < _ROLE_MAX; role++)
            world_traffic(port, role, second * 7919 % 10007 + port, second * 104729 % 10009 + role);
}

struct traffic world_truth(unsigned port, enum role role)
{
    struct traffic sum = {};

    for (uint64_t second = 0; second <= world_second(); second++)
        traffic_add(&sum, &world->seconds[second].truth[port][role]);
    return sum;
}

/* ---- daemon/probe.h ---- */

struct probe {
    uint64_t walks;
};

int probe_open(struct probe **ret, enum collector_kind wanted, const struct inherited_fd *inherited,
               size_t n_inherited, struct reason *reason)
{
    struct probe *probe = calloc(1, sizeof(*probe));

    if (!probe)
        return -ENOMEM;
    if (!n_inherited) {
        world->epoch = ++world->epochs;
        world->kept = false;
        memset(world->watched, 0, sizeof(world->watched));
        memset(world->counters, 0, sizeof(world->counters));
        memset(&world->health, 0, sizeof(world->health));
    }
    *ret = probe;
    return 0;
}

int probe_hand_over(const struct probe *probe, const struct probe_keeper *keeper, void *userdata)
{
    world->kept = world->keeper;
    return 0;
}

struct probe *probe_free(struct probe *probe)
{
    free(probe);
    return NULL;
}

void world_lose_daemon(void)
{
    if (!world->kept)
        world->epoch = 0;
}

const char *probe_collector(const struct probe *probe)
{
    return "world";
}

const char *probe_caveat(const struct probe *probe)
{
    return NULL;
}

bool probe_is_exact(const struct probe *probe)
{
    return true;
}

sd_id128_t probe_epoch(const struct probe *probe)
{
    return (sd_id128_t){.qwords = {0xe90c4, world->epoch}};
}

bool probe_works_unprivileged(struct probe *probe)
{
    return true;
}

bool probe_watches(const struct probe *probe, uint16_t port)
{
    return world->watched[port];
}

int probe_watch(struct probe *probe, uint16_t port)
{
    world->watched[port] = true;
    if (port - FIRST_PORT < N_PORTS)
        world->wanted[port - FIRST_PORT] = true;
    return 0;
}

void probe_unwatch(struct probe *probe, uint16_t port)
{
    world->watched[port] = false;
    if (port - FIRST_PORT < N_PORTS)
        world->wanted[port - FIRST_PORT] = false;
}

int probe_adopt(struct probe *probe)
{
    return 0;
}

int probe_recover(struct probe *probe)
{
    return 0;
}

int probe_walk(struct probe *probe, uint64_t tick_usec)
{
    probe->walks++;
    return 0;
}

int probe_read(struct probe *probe, struct port_counters *ports, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (enum role role = 0; role < _ROLE_MAX; role++) {
            unsigned port = ports[i].port - FIRST_PORT;

            ports[i].role[role] = port < N_PORTS ? world->counters[port][role]
                                                 : (struct counters){};
        }
    return 0;
}

int probe_list(struct probe *probe, uint16_t port, struct connection **ret)
{
    *ret = NULL;
    return 0;
}

int probe_health(struct probe *probe, struct probe_health *ret)
{
    *ret = world->health;
    return 0;
}

/* ---- the daemon ---- */

struct monitor *world_start(const char *directory, struct reason *reason)
{
    static const struct inherited_fd counters = {"portmon-counters", -1};
    static const struct probe_keeper keeper;
    struct monitor *monitor = NULL;
    bool wanted[N_PORTS];
    int r;

    memcpy(wanted, world->wanted, sizeof(wanted));
    r = monitor_new(&monitor, directory, COLLECTOR_AUTO, &counters, world->kept, reason);
    if (r < 0)
        return NULL;
    monitor_set_retention(monitor, 180);
    r = monitor_configure(monitor, FIRST_PORT, "configured", 0);
    if (r < 0 || monitor_start(monitor, reason) < 0 ||
        monitor_hand_over(monitor, &keeper, NULL) < 0) {
        monitor_free(monitor);
        memcpy(world->wanted, wanted, sizeof(wanted)); /* it has promised nothing */
        return NULL;
    }
    for (unsigned port = 0; port < N_PORTS; port++)
        world->wanted[port] = monitor_watches(monitor, (uint16_t) (FIRST_PORT + port));
    return monitor;
}
