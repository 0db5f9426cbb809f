/* SPDX-License-Identifier: MIT */
/* How a probe comes to be: loaded and attached, or taken over from a predecessor. */
#include "daemon/privileges.h"
#include "daemon/probe-bpf.h"
#include "fallback.skel.h"
#include "portmon.skel.h"
#include "shared/log.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#define ROOT_CGROUP_INODE 1

static void close_object(struct bpf_object **object)
{
    bpf_object__close(*object);
}

/** A message may be all that the verifier has to say, of which the last lines matter. */
static int on_libbpf_message(enum libbpf_print_level level, const char *format, va_list arguments)
{
    _cleanup_free_ char *message = NULL;
    char *rest, *line;

    if (vasprintf(&message, format, arguments) < 0) {
        message = NULL;
        return 0;
    }
    for (rest = message; (line = strsep(&rest, "\n"));)
        if (*line)
            log_debug("%s", line);
    return 0;
}

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

/* ---- the variants and their parts ---- */

/** What a variant has; a part says what it belongs to. */
enum feature {
    TRACEPOINT = 1 << 0,
    SOCK_OPS = 1 << 1, /* takes CAP_NET_ADMIN, and the root cgroup */
    FULL = 1 << 2,     /* Linux 5.12: socket storage, compare-and-swap */
    ENROLL = 1 << 3,   /* bpf_setsockopt() in iterators: Linux 5.14 */
    PLAIN = 1 << 4,    /* what Linux 5.9 has */
    MAP_WALK = 1 << 5, /* iterators over maps, which hardened kernels may refuse */
    ROSTER = 1 << 6,   /* what walks go through elsewhere: Linux 6.2 */
};

/** The objects that clang made. */
static const struct object {
    const char *maps; /* tells its maps from the other's */
    const void *(*bytes)(size_t *ret_size);
} full = {"", portmon_bpf__elf_bytes}, plain = {"fallback-", fallback_bpf__elf_bytes};

/** Libbpf's own probes for features give wrong answers, so these are tried, from the best on. */
static const struct variant {
    enum collector_kind kind;
    unsigned features;
    const struct object *object;
} variants[] = {
    {COLLECTOR_SOCK_OPS_TRACEPOINT, FULL | TRACEPOINT | SOCK_OPS | ENROLL | MAP_WALK, &full},
    {COLLECTOR_SOCK_OPS_TRACEPOINT, FULL | TRACEPOINT | SOCK_OPS | MAP_WALK, &full},
    {COLLECTOR_SOCK_OPS_TRACEPOINT, FULL | TRACEPOINT | SOCK_OPS | ENROLL | ROSTER, &full},
    {COLLECTOR_TRACEPOINT, FULL | TRACEPOINT | MAP_WALK, &full},
    {COLLECTOR_TRACEPOINT, FULL | TRACEPOINT | ROSTER, &full},
    {COLLECTOR_FALLBACK, PLAIN | TRACEPOINT | MAP_WALK, &plain},
    {COLLECTOR_SOCK_OPS, FULL | SOCK_OPS | ENROLL | MAP_WALK, &full},
    {COLLECTOR_SOCK_OPS, FULL | SOCK_OPS | MAP_WALK, &full},
    {COLLECTOR_SOCK_OPS, FULL | SOCK_OPS | ENROLL | ROSTER, &full},
};

/** Whether a variant may be used where @wanted is. One that has no second line is not chosen. */
static bool is_candidate(const struct variant *variant, enum collector_kind wanted)
{
    return wanted == COLLECTOR_AUTO ? variant->features & TRACEPOINT : variant->kind == wanted;
}

enum part_kind {
    PART_MAP,
    PART_PROGRAM,
    PART_TRACING_LINK,
    PART_CGROUP_LINK,
    PART_ITERATOR,
    PART_STORAGE_ITERATOR, /* over the map of sockets */
};

static const struct part {
    const char *name;   /* under which a supervisor keeps it for the next daemon */
    const char *symbol; /* the map or the program */
    enum part_kind kind;
    unsigned features; /* all of which a variant with this part has */
} parts[_PROBE_FD_MAX] = {
    [MAP_SOCKETS] = {"map-sockets", "sockets", PART_MAP, 0},
    [MAP_PAGES] = {"map-pages", "pages", PART_MAP, 0},
    [MAP_WATCH] = {"map-watch", "watch", PART_MAP, 0},
    [MAP_CONTROL] = {"map-control", "control", PART_MAP, 0},
    [MAP_HEALTH] = {"map-health", "health", PART_MAP, 0},
    [MAP_ROSTER] = {"map-roster", "roster", PART_MAP, ROSTER},
    [MAP_LIVE] = {"map-live", "live", PART_MAP, PLAIN},
    [LINK_STATE_1] = {"link-state-1", "portmon_state_1", PART_TRACING_LINK, TRACEPOINT},
    [LINK_STATE_2] = {"link-state-2", "portmon_state_2", PART_TRACING_LINK, TRACEPOINT | FULL},
    [LINK_DESTROY] = {"link-destroy", "portmon_destroy", PART_TRACING_LINK, FULL},
    [LINK_WALK] = {"link-walk", "portmon_walk", PART_STORAGE_ITERATOR, MAP_WALK},
    [LINK_WALK_ROSTER] = {"link-walk-roster", "portmon_walk_roster", PART_ITERATOR, ROSTER},
    [LINK_SCAN_FILES] = {"link-scan-files", "portmon_scan_files", PART_ITERATOR, FULL},
    [LINK_SCAN_TCP] = {"link-scan-tcp", "portmon_scan_tcp", PART_ITERATOR, 0},
    [LINK_OWNERS] = {"link-owners", "portmon_owners", PART_ITERATOR, FULL},
    [LINK_SOCK_OPS] = {"link-sock-ops", "portmon_sock_ops", PART_CGROUP_LINK, SOCK_OPS},
    [PROGRAM_STATE_1] = {"program-state-1", "portmon_state_1", PART_PROGRAM, TRACEPOINT},
    [PROGRAM_STATE_2] = {"program-state-2", "portmon_state_2", PART_PROGRAM, TRACEPOINT | FULL},
};

static bool has_part(const struct variant *variant, enum probe_fd which)
{
    return (parts[which].features & ~variant->features) == 0;
}

/** The name of a part's map or program in a variant's object. */
static const char *symbol_of(const struct variant *variant, enum probe_fd which)
{
    return which == LINK_SCAN_TCP && variant->features & ENROLL ? "portmon_scan_and_enroll"
                                                                : parts[which].symbol;
}

/** Tells programs from those of another version: FNV-1a of the object. */
static uint64_t program_id(const struct object *object)
{
    uint64_t id = UINT64_C(0xcbf29ce484222325);
    const unsigned char *bytes;
    size_t n;

    bytes = object->bytes(&n);
    for (size_t i = 0; i < n; i++)
        id = (id ^ bytes[i]) * UINT64_C(0x100000001b3);
    return id;
}

/** Maps are good for any programs of the same ABI; the rest belongs to one version of them. */
static void part_name(const struct object *object, enum probe_fd which,
                      char name[static PROBE_NAME_SIZE])
{
    if (which < _MAP_MAX)
        snprintf(name, PROBE_NAME_SIZE, PROBE_NAME_PREFIX "%u-%s%s", PORTMON_ABI_VERSION,
                 object->maps, parts[which].name);
    else
        snprintf(name, PROBE_NAME_SIZE, PROBE_NAME_PREFIX "%016" PRIx64 "-%s", program_id(object),
                 parts[which].name);
}

/* ---- loading ---- */

/** Keeps a descriptor of the probe's own, so that libbpf and its memory can go. */
static int keep(struct bpf_probe *probe, enum probe_fd which, int fd)
{
    if (fd < 0)
        return fd;
    probe->fds[which] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return probe->fds[which] < 0 ? -errno : 0;
}

static int attach(struct bpf_probe *probe, enum probe_fd which, struct bpf_program *program,
                  int cgroup)
{
    union bpf_iter_link_info target = {.map.map_fd = (uint32_t) probe->fds[MAP_SOCKETS]};
    LIBBPF_OPTS(bpf_iter_attach_opts, over_sockets, .link_info = &target,
                .link_info_len = sizeof(target));
    struct bpf_link *link;
    int r;

    switch (parts[which].kind) {
    case PART_TRACING_LINK:
        link = bpf_program__attach_trace(program);
        break;
    case PART_CGROUP_LINK:
        link = bpf_program__attach_cgroup(program, cgroup);
        break;
    case PART_ITERATOR:
        link = bpf_program__attach_iter(program, NULL);
        break;
    default:
        link = bpf_program__attach_iter(program, &over_sockets);
    }
    if (!link)
        return -errno;
    r = keep(probe, which, bpf_link__fd(link));
    bpf_link__destroy(link);
    return r;
}

/** How many buckets the kernel's own table of connections has: the more, the larger the host. */
static uint32_t connection_buckets(void)
{
    _cleanup_fclose_ FILE *file = fopen("/proc/sys/net/ipv4/tcp_ehash_entries", "re");
    int n = 0; /* negative: this namespace shares the host's */

    return file && fscanf(file, "%d", &n) == 1 ? (uint32_t) abs(n) : 0;
}

/** Whether the programs keep a roster, and of what size, before the kernel gets to see them. */
static int set_roster(struct bpf_object *object, bool kept)
{
    struct bpf_map *constants = bpf_object__find_map_by_name(object, ".rodata.variant");
    int r = constants ? bpf_map__set_initial_value(constants, &kept, sizeof(kept)) : 0;
    struct bpf_map *roster;
    uint32_t n;

    if (r < 0 || !kept)
        return r;
    roster = bpf_object__find_map_by_name(object, parts[MAP_ROSTER].symbol);
    n = connection_buckets();
    return n > bpf_map__max_entries(roster) ? bpf_map__set_max_entries(roster, n) : 0;
}

/** Tells libbpf what of an object to load, and onto which maps. */
static int choose(struct bpf_probe *probe, const struct variant *variant, struct bpf_object *object)
{
    struct bpf_program *program;
    struct bpf_map *map;
    int r = set_roster(object, variant->features & ROSTER);

    bpf_object__for_each_program(program, object) bpf_program__set_autoload(program, false);
    for (enum probe_fd which = 0; r >= 0 && which < _PROBE_FD_MAX; which++) {
        const char *symbol = symbol_of(variant, which);

        if (parts[which].kind == PART_MAP) {
            map = bpf_object__find_map_by_name(object, symbol);
            if (map && !has_part(variant, which))
                r = bpf_map__set_autocreate(map, false);
            else if (probe->fds[which] >= 0)
                r = bpf_map__reuse_fd(map, probe->fds[which]);
        } else if (has_part(variant, which)) {
            bpf_program__set_autoload(bpf_object__find_program_by_name(object, symbol), true);
        }
    }
    return r;
}

/** Loads and attaches a variant, onto the maps that the probe has already, if it has them. */
static int load(struct bpf_probe *probe, const struct variant *variant, int cgroup)
{
    _cleanup_(close_object) struct bpf_object *object = NULL;
    struct bpf_program *program;
    const char *symbol;
    const void *bytes;
    size_t size;
    int r;

    bytes = variant->object->bytes(&size);
    object = bpf_object__open_mem(bytes, size, NULL);
    if (!object)
        return -errno;
    if ((r = choose(probe, variant, object)) < 0 || (r = bpf_object__load(object)) < 0)
        return r;

    for (enum probe_fd which = 0; r >= 0 && which < _PROBE_FD_MAX; which++) {
        if (probe->fds[which] >= 0 || !has_part(variant, which))
            continue;
        symbol = symbol_of(variant, which);
        program = bpf_object__find_program_by_name(object, symbol);
        if (parts[which].kind == PART_MAP)
            r = keep(probe, which, bpf_object__find_map_fd_by_name(object, symbol));
        else if (parts[which].kind == PART_PROGRAM)
            r = keep(probe, which, bpf_program__fd(program));
        else
            r = attach(probe, which, program, cgroup);
    }
    return r;
}

/** Closes what did not come from a predecessor. */
static void close_new(struct bpf_probe *probe)
{
    for (int i = 0; i < _PROBE_FD_MAX; i++)
        if (!probe->adopted[i])
            probe->fds[i] = safe_close(probe->fds[i]);
}

/** Loads the best that can be had; if a predecessor's maps are there, of those that use them. */
static int load_best(struct bpf_probe *probe, enum collector_kind wanted)
{
    const struct object *object = probe->variant ? probe->variant->object : NULL;
    _cleanup_close_ int cgroup = open_root_cgroup();
    int r = cgroup < 0 ? cgroup : -EOPNOTSUPP;

    if (cgroup < 0)
        log_debug("No root cgroup (%s), so no sock_ops", strerrorname_np(-cgroup));
    for (size_t i = 0; r < 0 && i < ELEMENTSOF(variants); i++) {
        if (!is_candidate(&variants[i], wanted) || (object && variants[i].object != object) ||
            (variants[i].features & SOCK_OPS && cgroup < 0))
            continue;
        close_new(probe);
        r = load(probe, &variants[i], cgroup);
        if (r < 0)
            log_debug("Cannot load %s: %s", collector_kind_to_string(variants[i].kind),
                      strerrorname_np(-r));
        probe->variant = &variants[i];
    }
    return r;
}

/* ---- taking over ---- */

/** Takes a descriptor that a predecessor left, or notes that it is of no use. */
static int take_over(struct bpf_probe *probe, const struct object *object,
                     const struct inherited_fd *inherited)
{
    char name[PROBE_NAME_SIZE];

    for (enum probe_fd which = 0; which < _PROBE_FD_MAX; which++) {
        part_name(object, which, name);
        if (strcmp(name, inherited->name) != 0 || probe->fds[which] >= 0)
            continue;
        probe->fds[which] = inherited->fd;
        probe->adopted[which] = true;
        return 0;
    }
    safe_close(inherited->fd);
    return probe_add_stale(&probe->probe, inherited->name);
}

/** Gives up what was taken over from @from on, but what @variant has: NULL has nothing. */
static int give_up(struct bpf_probe *probe, const struct object *object, enum probe_fd from,
                   const struct variant *variant)
{
    char name[PROBE_NAME_SIZE];
    int r = 0;

    for (enum probe_fd which = from; r >= 0 && which < _PROBE_FD_MAX; which++) {
        if (!probe->adopted[which] || (variant && has_part(variant, which)))
            continue;
        part_name(object, which, name);
        r = probe_add_stale(&probe->probe, name);
        probe->adopted[which] = false;
        probe->fds[which] = safe_close(probe->fds[which]);
    }
    return r;
}

/** Whether all parts of a variant before @until are there. */
static bool has_all(const struct bpf_probe *probe, const struct variant *variant,
                    enum probe_fd until)
{
    for (enum probe_fd which = 0; which < until; which++)
        if (has_part(variant, which) && probe->fds[which] < 0)
            return false;
    return true;
}

/** The object whose maps a predecessor left, or NULL. */
static const struct object *object_of(const struct inherited_fd *inherited, size_t n)
{
    char name[PROBE_NAME_SIZE];

    for (size_t v = 0; v < ELEMENTSOF(variants); v++) {
        part_name(variants[v].object, MAP_PAGES, name);
        for (size_t i = 0; i < n; i++)
            if (strcmp(inherited[i].name, name) == 0)
                return variants[v].object;
    }
    return NULL;
}

/**
 * Takes over what a predecessor left. Returns 1 if it is everything, so that nothing has to be
 * loaded; 0 if programs have to be, onto the predecessor's maps if they are there.
 */
static int take_over_all(struct bpf_probe *probe, enum collector_kind wanted,
                         const struct inherited_fd *inherited, size_t n)
{
    const struct object *object = object_of(inherited, n) ?: &full;
    const struct variant *with_maps = NULL;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n; i++)
        r = take_over(probe, object, &inherited[i]);
    for (size_t i = 0; r >= 0 && i < ELEMENTSOF(variants); i++) {
        const struct variant *variant = &variants[i];

        if (variant->object != object || !is_candidate(variant, wanted))
            continue;
        if (has_all(probe, variant, _MAP_MAX) && !with_maps)
            with_maps = variant;
        if (has_all(probe, variant, _PROBE_FD_MAX)) {
            probe->variant = variant;
            r = give_up(probe, object, 0, variant);
            return r < 0 ? r : 1;
        }
    }
    if (r < 0)
        return r;
    probe->variant = with_maps;
    return give_up(probe, object, with_maps ? _MAP_MAX : 0, NULL);
}

enum collector_kind probe_bpf_kind(const struct probe *probe)
{
    return ((const struct bpf_probe *) probe)->variant->kind;
}

bool probe_bpf_keeps(const struct probe *base, const char *name)
{
    const struct bpf_probe *probe = (const struct bpf_probe *) base;
    char ours[PROBE_NAME_SIZE];

    for (enum probe_fd which = 0; which < _PROBE_FD_MAX; which++) {
        part_name(probe->variant->object, which, ours);
        if (strcmp(name, ours) == 0)
            return true;
    }
    return false;
}

/* The maps last: whoever finds them goes on with what they count, so all programs must be there. */
int probe_bpf_hand_over(const struct probe *base, const struct probe_keeper *keeper, void *userdata)
{
    const struct bpf_probe *probe = (const struct bpf_probe *) base;
    char name[PROBE_NAME_SIZE];
    int r = 0;

    for (int which = _PROBE_FD_MAX - 1; r >= 0 && which >= 0; which--) {
        if (probe->fds[which] < 0 || probe->adopted[which])
            continue;
        part_name(probe->variant->object, (enum probe_fd) which, name);
        r = keeper->keep(userdata, name, probe->fds[which]);
    }
    return r;
}

/* ---- opening ---- */

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
    if (error == -ENOENT || error == -EXDEV)
        return fail(reason, -EOPNOTSUPP,
                    "Cannot attach sock_ops: the root of the cgroup hierarchy is not mounted here");
    uname(&kernel);
    return fail_errno(reason, -EOPNOTSUPP,
                      "Cannot load the BPF programs on Linux %s, 5.9 or later is needed "
                      "(--log-level=debug shows what the kernel says)",
                      kernel.release);
}

static void *map_only_element(int fd, size_t size, int protection)
{
    void *memory = mmap(NULL, size, protection, MAP_SHARED, fd, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static int map_memory(struct bpf_probe *probe)
{
    probe->watch = map_only_element(probe->fds[MAP_WATCH], sizeof(*probe->watch),
                                    PROT_READ | PROT_WRITE);
    probe->control = map_only_element(probe->fds[MAP_CONTROL], sizeof(*probe->control),
                                      PROT_READ | PROT_WRITE);
    probe->health = map_only_element(probe->fds[MAP_HEALTH], sizeof(*probe->health), PROT_READ);
    if (!probe->watch || !probe->control || !probe->health)
        return -errno;
    /* a predecessor may have been killed in the midst of it */
    probe->control->recover = probe->control->list = 0;
    return 0;
}

/**
 * Makes room for what walks need of the pages that a predecessor made, also where no port is
 * watched any more: one may come back.
 */
static int reserve_pages(struct bpf_probe *probe)
{
    const uint32_t *previous = NULL;
    uint32_t key;
    int r = 0;

    if (probe->fds[MAP_LIVE] < 0)
        return 0;
    while (r >= 0 && bpf_map_get_next_key(probe->fds[MAP_PAGES], previous, &key) == 0) {
        r = probe_bpf_reserve(probe, key);
        previous = &key;
    }
    return r;
}

int probe_bpf_open(struct probe **ret, enum collector_kind wanted,
                   const struct inherited_fd *inherited, size_t n_inherited, struct reason *reason)
{
    struct bpf_probe *probe = calloc(1, sizeof(*probe));
    _cleanup_(probe_freep) struct probe *base = (struct probe *) probe;
    bool same_counters;
    sd_id128_t epoch;
    int r;

    if (!probe)
        return -ENOMEM;
    probe->probe.type = &probe_bpf_type;
    for (int i = 0; i < _PROBE_FD_MAX; i++)
        probe->fds[i] = -1;
    libbpf_set_print(on_libbpf_message);

    r = take_over_all(probe, wanted, inherited, n_inherited);
    if (r < 0)
        return r;
    same_counters = probe->adopted[MAP_PAGES];
    if (r == 0) {
        r = load_best(probe, wanted);
        if (r < 0)
            return explain(reason, r);
    }
    r = map_memory(probe);
    if (r < 0)
        return fail_errno(reason, r, "Cannot map the BPF programs' memory");

    if (!same_counters) {
        r = sd_id128_randomize(&epoch);
        if (r < 0)
            return fail_errno(reason, r, "Cannot get random numbers");
        memcpy(probe->control->epoch, &epoch, sizeof(epoch));
    }
    r = reserve_pages(probe);
    if (r < 0)
        return fail_errno(reason, r, "Cannot take over the watched ports");
    *ret = TAKE_PTR(base);
    return 0;
}

struct probe *probe_bpf_free(struct probe *base)
{
    struct bpf_probe *probe = (struct bpf_probe *) base;

    if (probe->watch)
        munmap(probe->watch, sizeof(*probe->watch));
    if (probe->control)
        munmap(probe->control, sizeof(*probe->control));
    if (probe->health)
        munmap((void *) probe->health, sizeof(*probe->health));
    for (int i = 0; i < _PROBE_FD_MAX; i++)
        safe_close(probe->fds[i]);
    for (size_t i = 0; i < ELEMENTSOF(probe->closed); i++)
        free(probe->closed[i]);
    free(probe);
    return NULL;
}
