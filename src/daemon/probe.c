/* SPDX-License-Identifier: MIT */
/* Which collector counts, and who does what is asked. */
#include "daemon/probe-internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

int probe_add_stale(struct probe *probe, const char *name)
{
    char **stale = reallocarray(probe->stale, probe->n_stale + 1, sizeof(*stale));
    char *copy = strdup(name);

    if (stale)
        probe->stale = stale;
    if (!stale || !copy) {
        free(copy);
        return -ENOMEM;
    }
    stale[probe->n_stale++] = copy;
    return 0;
}

/** Opens the one that needs no BPF. What a predecessor left is for programs. */
static int open_diag(struct probe **ret, const struct inherited_fd *inherited, size_t n_inherited,
                     struct reason *reason)
{
    _cleanup_(probe_freep) struct probe *probe = NULL;
    int r = probe_diag_open(&probe, reason);

    for (size_t i = 0; r >= 0 && i < n_inherited; i++)
        r = probe_add_stale(probe, inherited[i].name);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(probe);
    return 0;
}

int probe_open(struct probe **ret, enum collector_kind wanted, const struct inherited_fd *inherited,
               size_t n_inherited, struct reason *reason)
{
    struct reason why = {};
    int r;

    if (wanted == COLLECTOR_DIAG) {
        for (size_t i = 0; i < n_inherited; i++)
            safe_close(inherited[i].fd);
        return open_diag(ret, inherited, n_inherited, reason);
    }
    r = probe_bpf_open(ret, wanted, inherited, n_inherited, reason);
    if (wanted != COLLECTOR_AUTO || (r != -EPERM && r != -EOPNOTSUPP))
        return r;
    return open_diag(ret, inherited, n_inherited, &why) < 0 ? r : 1;
}

/** Drops what is of no use: what is in the way of what we keep, or the rest. */
static void drop_stale(const struct probe *probe, bool in_the_way,
                       const struct probe_keeper *keeper, void *userdata)
{
    for (size_t i = 0; i < probe->n_stale; i++)
        if (probe->type->keeps(probe, probe->stale[i]) == in_the_way)
            keeper->drop(userdata, probe->stale[i]);
}

/* A predecessor may have been killed when it had handed over a part of what it had, under the names
 * that we use. So that goes first; what counts until we do goes last. */
int probe_hand_over(const struct probe *probe, const struct probe_keeper *keeper, void *userdata)
{
    int r;

    drop_stale(probe, true, keeper, userdata);
    r = probe->type->hand_over(probe, keeper, userdata);
    if (r < 0)
        return r;
    drop_stale(probe, false, keeper, userdata);
    return 0;
}

struct probe *probe_free(struct probe *probe)
{
    if (!probe)
        return NULL;
    for (size_t i = 0; i < probe->n_stale; i++)
        free(probe->stale[i]);
    free(probe->stale);
    return probe->type->free(probe);
}

const char *probe_collector(const struct probe *probe)
{
    return collector_kind_to_string(probe->type->kind(probe));
}

const char *probe_caveat(const struct probe *probe)
{
    static const char *const caveats[_COLLECTOR_MAX] = {
        [COLLECTOR_SOCK_OPS] = "other sock_ops programs may keep it from hearing of connections",
        [COLLECTOR_FALLBACK] = "connections that were open before may not be found, nor processes",
        [COLLECTOR_DIAG] = "figures are not exact, and of this network namespace only",
    };

    return caveats[probe->type->kind(probe)];
}

bool probe_is_exact(const struct probe *probe)
{
    return probe->type->kind(probe) != COLLECTOR_DIAG;
}

sd_id128_t probe_epoch(const struct probe *probe)
{
    return probe->type->epoch(probe);
}

bool probe_works_unprivileged(struct probe *probe)
{
    return probe->type->works_unprivileged(probe);
}

bool probe_watches(const struct probe *probe, uint16_t port)
{
    return probe->type->watches(probe, port);
}

int probe_watch(struct probe *probe, uint16_t port)
{
    return probe->type->watch(probe, port);
}

void probe_unwatch(struct probe *probe, uint16_t port)
{
    probe->type->unwatch(probe, port);
}

int probe_adopt(struct probe *probe)
{
    return probe->type->adopt(probe);
}

int probe_recover(struct probe *probe)
{
    return probe->type->recover(probe);
}

int probe_walk(struct probe *probe, uint64_t tick_usec)
{
    return probe->type->walk(probe, tick_usec);
}

int probe_read(struct probe *probe, struct port_counters *ports, size_t n)
{
    return probe->type->read(probe, ports, n);
}

int probe_list(struct probe *probe, uint16_t port, struct connection **ret)
{
    return probe->type->list(probe, port, ret);
}

int probe_health(struct probe *probe, struct probe_health *ret)
{
    return probe->type->health(probe, ret);
}

const char *probe_state_name(uint8_t state)
{
    static const char *const names[] = {
        [TCP_ESTABLISHED] = "ESTABLISHED",
        [TCP_SYN_SENT] = "SYN-SENT",
        [TCP_SYN_RECV] = "SYN-RECEIVED",
        [TCP_FIN_WAIT1] = "FIN-WAIT-1",
        [TCP_FIN_WAIT2] = "FIN-WAIT-2",
        [TCP_TIME_WAIT] = "TIME-WAIT",
        [TCP_CLOSE] = "CLOSED",
        [TCP_CLOSE_WAIT] = "CLOSE-WAIT",
        [TCP_LAST_ACK] = "LAST-ACK",
        [TCP_CLOSING] = "CLOSING",
    };

    return state < ELEMENTSOF(names) && names[state] ? names[state] : "UNKNOWN";
}
