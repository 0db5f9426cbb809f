/* SPDX-License-Identifier: MIT */
#include "daemon/probe.h"

#include "bpf/portmon-abi.h"
#include "daemon/privileges.h"
#include "portmon.skel.h"
#include "shared/log.h"
#include "shared/time-util.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <mntent.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>

_Static_assert((int) PORTMON_ROLE_SERVER == ROLE_SERVER, "roles differ");
_Static_assert((int) PORTMON_ROLE_CLIENT == ROLE_CLIENT, "roles differ");
_Static_assert((int) _PORTMON_ROLE_MAX == _ROLE_MAX, "roles differ");

/* Everything a probe holds in the kernel. */
enum probe_fd {
    MAP_SOCKETS,
    MAP_PAGES,
    MAP_WATCH,
    MAP_CONTROL,
    MAP_HEALTH,
    LINK_SOCK_OPS,
    LINK_STATE_1,
    LINK_STATE_2,
    LINK_WALK,
    LINK_LIST,
    LINK_SCAN_FILES,
    LINK_SCAN_TCP,
    LINK_OWNERS,
    PROGRAM_STATE_1,
    PROGRAM_STATE_2,
    _PROBE_FD_MAX,
};

struct probe {
    int fds[_PROBE_FD_MAX]; /* -1 if not there */
    struct portmon_watch *watch;
    struct portmon_control *control;
    const struct portmon_health *health;
};

#define ROOT_CGROUP_INODE 1

DEFINE_CLEANUP(struct portmon_bpf, portmon_bpf__destroy)

static int on_libbpf_message(enum libbpf_print_level level, const char *format, va_list arguments)
{
    char line[900];
    size_t length;

    vsnprintf(line, sizeof(line), format, arguments);
    length = strlen(line);
    if (length > 0 && line[length - 1] == '\n')
        line[length - 1] = '\0';
    log_debug("%s", line);
    return 0;
}

/* ---- opening ---- */

/**
 * The cgroup that holds all others. In a container another one is mounted in its place, where
 * sock_ops would see the container only: -EXDEV.
 */
static int open_root_cgroup(void)
{
    _cleanup_fclose_ FILE *mounts = setmntent("/proc/self/mounts", "re");
    struct mntent *mount;
    struct stat status;

    while (mounts && (mount = getmntent(mounts))) {
        _cleanup_close_ int fd = -1;

        if (strcmp(mount->mnt_type, "cgroup2") != 0)
            continue;
        fd = open(mount->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &status) < 0)
            continue;
        return status.st_ino == ROOT_CGROUP_INODE ? TAKE_FD(fd) : -EXDEV;
    }
    return -ENOENT;
}

/** Keeps a descriptor of the probe's own, so that the skeleton and its memory can go. */
static int keep(struct probe *probe, enum probe_fd which, int fd)
{
    if (fd < 0)
        return fd;
    probe->fds[which] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return probe->fds[which] < 0 ? -errno : 0;
}

static int keep_link(struct probe *probe, enum probe_fd which, struct bpf_link *link)
{
    int r = link ? keep(probe, which, bpf_link__fd(link)) : -errno;

    bpf_link__destroy(link);
    return r;
}

static int attach_storage_iterator(struct probe *probe, enum probe_fd which,
                                   struct bpf_program *program)
{
    union bpf_iter_link_info target = {.map.map_fd = (uint32_t) probe->fds[MAP_SOCKETS]};
    LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &target,
                .link_info_len = sizeof(target));

    return keep_link(probe, which, bpf_program__attach_iter(program, &options));
}

/** What a kernel or a set of capabilities may lack; tried from the best to the barest. */
struct feature_set {
    bool sock_ops; /* CAP_NET_ADMIN, and the root cgroup */
    bool enroll;   /* bpf_setsockopt() in iterators: Linux 5.14 */
};

static int load(struct probe *probe, const struct feature_set *features, int cgroup)
{
    _cleanup_(portmon_bpf__destroyp) struct portmon_bpf *bpf = portmon_bpf__open();
    int r;

    if (!bpf)
        return -errno;
    bpf_program__set_autoload(bpf->progs.portmon_sock_ops, features->sock_ops);
    bpf->rodata->can_enroll = features->enroll;

    if ((r = portmon_bpf__load(bpf)) < 0 ||
        (r = keep(probe, MAP_SOCKETS, bpf_map__fd(bpf->maps.sockets))) < 0 ||
        (r = keep(probe, MAP_PAGES, bpf_map__fd(bpf->maps.pages))) < 0 ||
        (r = keep(probe, MAP_WATCH, bpf_map__fd(bpf->maps.watch))) < 0 ||
        (r = keep(probe, MAP_CONTROL, bpf_map__fd(bpf->maps.control))) < 0 ||
        (r = keep(probe, MAP_HEALTH, bpf_map__fd(bpf->maps.health))) < 0 ||
        (r = keep(probe, PROGRAM_STATE_1, bpf_program__fd(bpf->progs.portmon_state_1))) < 0 ||
        (r = keep(probe, PROGRAM_STATE_2, bpf_program__fd(bpf->progs.portmon_state_2))) < 0 ||
        (r = keep_link(probe, LINK_STATE_1,
                       bpf_program__attach_trace(bpf->progs.portmon_state_1))) < 0 ||
        (r = keep_link(probe, LINK_STATE_2,
                       bpf_program__attach_trace(bpf->progs.portmon_state_2))) < 0 ||
        (r = attach_storage_iterator(probe, LINK_WALK, bpf->progs.portmon_walk)) < 0 ||
        (r = attach_storage_iterator(probe, LINK_LIST, bpf->progs.portmon_list)) < 0 ||
        (r = keep_link(probe, LINK_SCAN_FILES,
                       bpf_program__attach_iter(bpf->progs.portmon_scan_files, NULL))) < 0 ||
        (r = keep_link(probe, LINK_SCAN_TCP,
                       bpf_program__attach_iter(bpf->progs.portmon_scan_tcp, NULL))) < 0 ||
        (r = keep_link(probe, LINK_OWNERS,
                       bpf_program__attach_iter(bpf->progs.portmon_owners, NULL))) < 0)
        return r;
    if (features->sock_ops)
        return keep_link(probe, LINK_SOCK_OPS,
                         bpf_program__attach_cgroup(bpf->progs.portmon_sock_ops, cgroup));
    return 0;
}

static void close_all(struct probe *probe)
{
    for (int i = 0; i < _PROBE_FD_MAX; i++)
        probe->fds[i] = safe_close(probe->fds[i]);
}

/** Says in words why the programs could not be loaded. */
static int explain(struct reason *reason, int error)
{
    struct utsname kernel = {};

    if (!privileges_have(CAPABILITY(CAP_SYS_ADMIN)) &&
        !privileges_have(CAPABILITY(CAP_BPF) | CAPABILITY(CAP_PERFMON)))
        return fail(reason, -EPERM,
                    "Cannot load the BPF programs: CAP_BPF and CAP_PERFMON are missing; run "
                    "portmond as root or start portmond.service");
    if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
        return fail(reason, -EOPNOTSUPP,
                    "Cannot load the BPF programs: this kernel has no BTF in "
                    "/sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF); use your distribution's "
                    "kernel, or mount /sys");
    if (error == -EPERM || error == -EACCES)
        return fail(reason, -EPERM,
                    "Cannot load the BPF programs: the kernel refuses it in spite of the "
                    "capabilities; look for kernel lockdown, or a container that filters bpf(2)");
    uname(&kernel);
    return fail_errno(reason, -EOPNOTSUPP,
                      "Cannot load the BPF programs on Linux %s, 5.12 or later is needed "
                      "(--log-level=debug shows what the kernel says)",
                      kernel.release);
}

static void *map_only_element(int fd, size_t size, int protection)
{
    void *memory = mmap(NULL, size, protection, MAP_SHARED, fd, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static int map_memory(struct probe *probe)
{
    probe->watch = map_only_element(probe->fds[MAP_WATCH], sizeof(*probe->watch),
                                    PROT_READ | PROT_WRITE);
    probe->control = map_only_element(probe->fds[MAP_CONTROL], sizeof(*probe->control),
                                      PROT_READ | PROT_WRITE);
    probe->health = map_only_element(probe->fds[MAP_HEALTH], sizeof(*probe->health), PROT_READ);
    return probe->watch && probe->control && probe->health ? 0 : -errno;
}

int probe_open(struct probe **ret, struct reason *reason)
{
    static const struct feature_set sets[] = {
        {.sock_ops = true, .enroll = true},
        {.sock_ops = true, .enroll = false},
        {.sock_ops = false, .enroll = false},
    };
    _cleanup_(probe_freep) struct probe *probe = calloc(1, sizeof(*probe));
    _cleanup_close_ int cgroup = -1;
    sd_id128_t epoch;
    int r = -ENOENT;

    if (!probe)
        return -ENOMEM;
    for (int i = 0; i < _PROBE_FD_MAX; i++)
        probe->fds[i] = -1;
    libbpf_set_print(on_libbpf_message);

    cgroup = open_root_cgroup();
    if (cgroup < 0)
        log_debug("No root cgroup (%s), so no sock_ops", strerrorname_np(-cgroup));
    for (size_t i = 0; r < 0 && i < ELEMENTSOF(sets); i++) {
        if (sets[i].sock_ops && cgroup < 0)
            continue;
        close_all(probe);
        r = load(probe, &sets[i], cgroup);
    }
    if (r < 0)
        return explain(reason, r);
    r = map_memory(probe);
    if (r < 0)
        return fail_errno(reason, r, "Cannot map the BPF programs' memory");

    r = sd_id128_randomize(&epoch);
    if (r < 0)
        return fail_errno(reason, r, "Cannot get random numbers");
    memcpy(probe->control->epoch, &epoch, sizeof(epoch));
    *ret = TAKE_PTR(probe);
    return 0;
}

struct probe *probe_free(struct probe *probe)
{
    if (!probe)
        return NULL;
    if (probe->watch)
        munmap(probe->watch, sizeof(*probe->watch));
    if (probe->control)
        munmap(probe->control, sizeof(*probe->control));
    if (probe->health)
        munmap((void *) probe->health, sizeof(*probe->health));
    close_all(probe);
    free(probe);
    return NULL;
}

const char *probe_collector(const struct probe *probe)
{
    return probe->fds[LINK_SOCK_OPS] >= 0 ? "sock_ops+tracepoint" : "tracepoint";
}

sd_id128_t probe_epoch(const struct probe *probe)
{
    sd_id128_t epoch;

    memcpy(&epoch, probe->control->epoch, sizeof(epoch));
    return epoch;
}

static bool can_read(void *userdata)
{
    struct probe *probe = userdata;
    struct portmon_page page;
    uint32_t key = 0;

    return bpf_map_lookup_elem(probe->fds[MAP_PAGES], &key, &page) != -EPERM;
}

bool probe_works_unprivileged(struct probe *probe)
{
    return privileges_dispensable_for(can_read, probe);
}

/* ---- the watch list ---- */

int probe_watch(struct probe *probe, uint16_t port)
{
    static const struct portmon_page empty;
    uint32_t key = port / PORTMON_PAGE_PORTS;
    int r = bpf_map_update_elem(probe->fds[MAP_PAGES], &key, &empty, BPF_NOEXIST);

    if (r < 0 && r != -EEXIST)
        return r == -E2BIG ? -ENOMEM : r;
    __atomic_store_n(&probe->watch->watched[port], 1, __ATOMIC_RELEASE);
    return 0;
}

void probe_unwatch(struct probe *probe, uint16_t port)
{
    __atomic_store_n(&probe->watch->watched[port], 0, __ATOMIC_RELEASE);
}

/* ---- iterators ---- */

/** What an iterator wrote; empty when zeroed. */
struct output {
    char *data;
    size_t length;
    size_t size;
};

static void output_free(struct output *output)
{
    free(output->data);
}

static int output_reserve(struct output *output, size_t space)
{
    size_t size = output->size ?: 4096;
    char *data;

    while (size - output->length < space)
        size *= 2;
    if (size == output->size)
        return 0;
    data = realloc(output->data, size);
    if (!data)
        return -ENOMEM;
    output->data = data;
    output->size = size;
    return 0;
}

/** Runs an iterator to its end and keeps what it writes. */
static int iterate(int link, struct output *output)
{
    const size_t chunk = 16 * 1024;
    _cleanup_close_ int iterator = bpf_iter_create(link);
    ssize_t n;
    int r;

    if (iterator < 0)
        return iterator;
    for (;;) {
        r = output_reserve(output, chunk);
        if (r < 0)
            return r;
        n = read(iterator, output->data + output->length, output->size - output->length);
        if (n == 0)
            return 0;
        /* EAGAIN: many objects went by without output, and there are more */
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        if (n > 0)
            output->length += (size_t) n;
    }
}

static int iterate_quietly(int link)
{
    _cleanup_(output_free) struct output nothing = {};

    return iterate(link, &nothing);
}

int probe_adopt(struct probe *probe)
{
    int r = iterate_quietly(probe->fds[LINK_SCAN_FILES]);

    return r < 0 ? r : iterate_quietly(probe->fds[LINK_SCAN_TCP]);
}

int probe_walk(struct probe *probe, uint64_t tick_usec)
{
    if (tick_usec)
        probe->control->tick_nsec = tick_usec * NSEC_PER_USEC;
    __atomic_store_n(&probe->control->walk, probe->control->walk + 1, __ATOMIC_RELEASE);
    return iterate_quietly(probe->fds[LINK_WALK]);
}

/* ---- reading ---- */

static void read_counters(struct counters *ret, const struct portmon_counters *counters,
                          uint32_t walk)
{
    *ret = (struct counters){
        .rx_bytes = counters->rx_bytes,
        .tx_bytes = counters->tx_bytes,
        .rx_packets = counters->rx_segments,
        .tx_packets = counters->tx_segments,
        .opened = counters->opened,
        .unclosed = counters->opened + counters->adopted - counters->closed,
        .live = counters->live_walk == walk ? counters->live : 0,
    };
}

int probe_read(struct probe *probe, struct port_counters *ports, size_t n)
{
    struct portmon_page page;
    int64_t loaded = -1;
    int r;

    for (size_t i = 0; i < n; i++) {
        uint32_t key = ports[i].port / PORTMON_PAGE_PORTS;

        if (key != loaded) {
            r = bpf_map_lookup_elem(probe->fds[MAP_PAGES], &key, &page);
            if (r < 0)
                return r;
            loaded = key;
        }
        for (enum role role = 0; role < _ROLE_MAX; role++)
            read_counters(&ports[i].role[role],
                          &page.port[ports[i].port % PORTMON_PAGE_PORTS][role],
                          probe->control->walk);
    }
    return 0;
}

static const char *state_name(uint8_t state)
{
    static const char *const names[] = {
        [BPF_TCP_ESTABLISHED] = "ESTABLISHED",
        [BPF_TCP_SYN_SENT] = "SYN-SENT",
        [BPF_TCP_SYN_RECV] = "SYN-RECEIVED",
        [BPF_TCP_FIN_WAIT1] = "FIN-WAIT-1",
        [BPF_TCP_FIN_WAIT2] = "FIN-WAIT-2",
        [BPF_TCP_TIME_WAIT] = "TIME-WAIT",
        [BPF_TCP_CLOSE] = "CLOSED",
        [BPF_TCP_CLOSE_WAIT] = "CLOSE-WAIT",
        [BPF_TCP_LAST_ACK] = "LAST-ACK",
        [BPF_TCP_CLOSING] = "CLOSING",
    };

    return state < ELEMENTSOF(names) && names[state] ? names[state] : "UNKNOWN";
}

static int compare_owners(const void *a, const void *b)
{
    const struct portmon_owner *x = a, *y = b;

    if (x->socket != y->socket)
        return x->socket < y->socket ? -1 : 1;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

static int find_owner(const void *socket, const void *owner)
{
    uint64_t wanted = *(const uint64_t *) socket;
    const struct portmon_owner *found = owner;

    return (wanted > found->socket) - (wanted < found->socket);
}

static void read_connection(struct connection *ret, const struct portmon_connection *record,
                            uint64_t now_nsec)
{
    *ret = (struct connection){
        .local_port = record->local_port,
        .remote_port = record->remote_port,
        .port = record->port,
        .role = record->role,
        .state = state_name(record->state),
        .adopted = record->flags & PORTMON_SOCKET_ADOPTED,
        .rx_bytes = record->rx_bytes,
        .tx_bytes = record->tx_bytes,
        .rx_rate = record->rx_rate,
        .tx_rate = record->tx_rate,
        .age_usec = (now_nsec - record->opened_nsec) / NSEC_PER_USEC,
        .rtt_usec = record->rtt_usec,
        .retransmissions = record->retransmissions,
        .network_namespace = record->network_namespace,
    };
    memcpy(&ret->local_address, record->local_address, sizeof(ret->local_address));
    memcpy(&ret->remote_address, record->remote_address, sizeof(ret->remote_address));
}

int probe_list(struct probe *probe, uint16_t port, struct connection **ret)
{
    _cleanup_(output_free) struct output records = {}, owners = {};
    _cleanup_free_ struct connection *connections = NULL;
    uint64_t now_nsec;
    size_t n, n_owners;
    int r;

    r = probe_walk(probe, 0);
    if (r < 0)
        return r;
    probe->control->list_port = port;
    if ((r = iterate(probe->fds[LINK_LIST], &records)) < 0 ||
        (r = iterate(probe->fds[LINK_OWNERS], &owners)) < 0)
        return r;
    n = records.length / sizeof(struct portmon_connection);
    n_owners = owners.length / sizeof(struct portmon_owner);
    if (n_owners)
        qsort(owners.data, n_owners, sizeof(struct portmon_owner), compare_owners);

    connections = calloc(n ?: 1, sizeof(*connections));
    if (!connections)
        return -ENOMEM;
    now_nsec = now_usec(CLOCK_BOOTTIME) * NSEC_PER_USEC;
    for (size_t i = 0; i < n; i++) {
        const struct portmon_connection *record =
            (const struct portmon_connection *) (void *) records.data + i;
        const struct portmon_owner *owner = NULL;

        read_connection(&connections[i], record, now_nsec);
        if (n_owners)
            owner = bsearch(&record->socket, owners.data, n_owners, sizeof(*owner), find_owner);
        if (owner) {
            connections[i].pid = owner->pid;
            memcpy(connections[i].comm, owner->comm, sizeof(owner->comm));
        }
    }
    *ret = TAKE_PTR(connections);
    return (int) n;
}

static uint64_t recursion_misses(int program)
{
    struct bpf_prog_info info = {};
    uint32_t length = sizeof(info);

    return program >= 0 && bpf_obj_get_info_by_fd(program, &info, &length) == 0
               ? info.recursion_misses
               : 0;
}

int probe_health(struct probe *probe, struct probe_health *ret)
{
    *ret = (struct probe_health){
        .storage_failures = probe->health->storage_failures,
        .unsettled = probe->health->unsettled,
        .contended = probe->health->contended,
        .skipped_events = recursion_misses(probe->fds[PROGRAM_STATE_1]) +
                          recursion_misses(probe->fds[PROGRAM_STATE_2]),
    };
    return 0;
}
