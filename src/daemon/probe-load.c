/* SPDX-License-Identifier: MIT */
/* How a probe comes to be: loaded and attached, or taken over from a predecessor. */
#include "daemon/privileges.h"
#include "daemon/probe-internal.h"
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
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>

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

/* ---- the parts ---- */

enum part_kind {
    PART_MAP,
    PART_PROGRAM,
    PART_TRACING_LINK,
    PART_CGROUP_LINK,
    PART_ITERATOR,
    PART_STORAGE_ITERATOR, /* over the map of sockets */
};

static const struct part {
    const char *name; /* under which a supervisor keeps it for the next daemon */
    enum part_kind kind;
    size_t offset; /* of the pointer to the map or the program in the skeleton */
} parts[_PROBE_FD_MAX] = {
#define MAP(field)           PART_MAP, offsetof(struct portmon_bpf, maps.field)
#define PROGRAM(kind, field) kind, offsetof(struct portmon_bpf, progs.portmon_##field)
    [MAP_SOCKETS] = {"map-sockets", MAP(sockets)},
    [MAP_PAGES] = {"map-pages", MAP(pages)},
    [MAP_WATCH] = {"map-watch", MAP(watch)},
    [MAP_CONTROL] = {"map-control", MAP(control)},
    [MAP_HEALTH] = {"map-health", MAP(health)},
    [LINK_STATE_1] = {"link-state-1", PROGRAM(PART_TRACING_LINK, state_1)},
    [LINK_STATE_2] = {"link-state-2", PROGRAM(PART_TRACING_LINK, state_2)},
    [LINK_WALK] = {"link-walk", PROGRAM(PART_STORAGE_ITERATOR, walk)},
    [LINK_LIST] = {"link-list", PROGRAM(PART_STORAGE_ITERATOR, list)},
    [LINK_SCAN_FILES] = {"link-scan-files", PROGRAM(PART_ITERATOR, scan_files)},
    [LINK_SCAN_TCP] = {"link-scan-tcp", PROGRAM(PART_ITERATOR, scan_tcp)},
    [LINK_OWNERS] = {"link-owners", PROGRAM(PART_ITERATOR, owners)},
    [PROGRAM_STATE_1] = {"program-state-1", PROGRAM(PART_PROGRAM, state_1)},
    [PROGRAM_STATE_2] = {"program-state-2", PROGRAM(PART_PROGRAM, state_2)},
    [LINK_SOCK_OPS] = {"link-sock-ops", PROGRAM(PART_CGROUP_LINK, sock_ops)},
#undef MAP
#undef PROGRAM
};

/** Tells these programs from those of another version: FNV-1a of the object. */
static uint64_t program_id(void)
{
    uint64_t id = UINT64_C(0xcbf29ce484222325);
    const unsigned char *bytes;
    size_t n;

    bytes = portmon_bpf__elf_bytes(&n);
    for (size_t i = 0; i < n; i++)
        id = (id ^ bytes[i]) * UINT64_C(0x100000001b3);
    return id;
}

/** Maps are good for any programs of the same ABI; the rest belongs to one version of them. */
static void part_name(enum probe_fd which, char name[static PROBE_NAME_SIZE])
{
    if (which < _MAP_MAX)
        snprintf(name, PROBE_NAME_SIZE, PROBE_NAME_PREFIX "%u-%s", PORTMON_ABI_VERSION,
                 parts[which].name);
    else
        snprintf(name, PROBE_NAME_SIZE, PROBE_NAME_PREFIX "%016" PRIx64 "-%s", program_id(),
                 parts[which].name);
}

static void *skeleton_pointer(struct portmon_bpf *bpf, enum probe_fd which)
{
    return *(void **) (void *) ((char *) bpf + parts[which].offset);
}

/** Keeps a descriptor of the probe's own, so that the skeleton and its memory can go. */
static int keep(struct probe *probe, enum probe_fd which, int fd)
{
    if (fd < 0)
        return fd;
    probe->fds[which] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return probe->fds[which] < 0 ? -errno : 0;
}

static int attach(struct probe *probe, struct portmon_bpf *bpf, enum probe_fd which, int cgroup)
{
    union bpf_iter_link_info target = {.map.map_fd = (uint32_t) probe->fds[MAP_SOCKETS]};
    LIBBPF_OPTS(bpf_iter_attach_opts, over_sockets, .link_info = &target,
                .link_info_len = sizeof(target));
    struct bpf_program *program = skeleton_pointer(bpf, which);
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

/* ---- loading ---- */

/** What a kernel or a set of capabilities may lack; tried from the best to the barest. */
struct feature_set {
    bool sock_ops; /* CAP_NET_ADMIN, and the root cgroup */
    bool enroll;   /* bpf_setsockopt() in iterators: Linux 5.14 */
};

/** Loads and attaches the programs, onto the maps that the probe has already, if it has them. */
static int load(struct probe *probe, const struct feature_set *features, int cgroup)
{
    _cleanup_(portmon_bpf__destroyp) struct portmon_bpf *bpf = portmon_bpf__open();
    int r = 0;

    if (!bpf)
        return -errno;
    bpf_program__set_autoload(bpf->progs.portmon_sock_ops, features->sock_ops);
    bpf->rodata->can_enroll = features->enroll;
    for (enum probe_fd map = 0; r >= 0 && map < _MAP_MAX; map++)
        if (probe->fds[map] >= 0)
            r = bpf_map__reuse_fd(skeleton_pointer(bpf, map), probe->fds[map]);
    if (r < 0 || (r = portmon_bpf__load(bpf)) < 0)
        return r;

    for (enum probe_fd which = 0; r >= 0 && which < _PROBE_FD_MAX; which++) {
        if (probe->fds[which] >= 0 || (which == LINK_SOCK_OPS && !features->sock_ops))
            continue;
        switch (parts[which].kind) {
        case PART_MAP:
            r = keep(probe, which, bpf_map__fd(skeleton_pointer(bpf, which)));
            break;
        case PART_PROGRAM:
            r = keep(probe, which, bpf_program__fd(skeleton_pointer(bpf, which)));
            break;
        default:
            r = attach(probe, bpf, which, cgroup);
        }
    }
    return r;
}

/** Closes what did not come from a predecessor. */
static void close_new(struct probe *probe)
{
    for (int i = 0; i < _PROBE_FD_MAX; i++)
        if (!probe->adopted[i])
            probe->fds[i] = safe_close(probe->fds[i]);
}

static int load_best(struct probe *probe)
{
    static const struct feature_set sets[] = {
        {.sock_ops = true, .enroll = true},
        {.sock_ops = true, .enroll = false},
        {.sock_ops = false, .enroll = false},
    };
    _cleanup_close_ int cgroup = open_root_cgroup();
    int r = -ENOENT;

    if (cgroup < 0)
        log_debug("No root cgroup (%s), so no sock_ops", strerrorname_np(-cgroup));
    for (size_t i = 0; r < 0 && i < ELEMENTSOF(sets); i++) {
        if (sets[i].sock_ops && cgroup < 0)
            continue;
        close_new(probe);
        r = load(probe, &sets[i], cgroup);
    }
    return r;
}

/* ---- taking over ---- */

static int add_stale(struct probe *probe, const char *name)
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

/** Takes a descriptor that a predecessor left, or notes that it is of no use. */
static int take_over(struct probe *probe, const struct inherited_fd *inherited)
{
    char name[PROBE_NAME_SIZE];

    for (enum probe_fd which = 0; which < _PROBE_FD_MAX; which++) {
        part_name(which, name);
        if (strcmp(name, inherited->name) != 0 || probe->fds[which] >= 0)
            continue;
        probe->fds[which] = inherited->fd;
        probe->adopted[which] = true;
        return 0;
    }
    safe_close(inherited->fd);
    return add_stale(probe, inherited->name);
}

static bool has_all(const struct probe *probe, enum probe_fd from, enum probe_fd to)
{
    for (enum probe_fd which = from; which < to; which++)
        if (probe->fds[which] < 0)
            return false;
    return true;
}

/** Gives up what was taken over from @from on: it is not whole. */
static int give_up(struct probe *probe, enum probe_fd from)
{
    char name[PROBE_NAME_SIZE];
    int r = 0;

    for (enum probe_fd which = from; r >= 0 && which < _PROBE_FD_MAX; which++) {
        if (!probe->adopted[which])
            continue;
        part_name(which, name);
        r = add_stale(probe, name);
        probe->adopted[which] = false;
        probe->fds[which] = safe_close(probe->fds[which]);
    }
    return r;
}

/**
 * Takes over what a predecessor left. Returns 1 if it is everything, so that nothing has to be
 * loaded; 0 if programs have to be, onto the predecessor's maps if they are there.
 */
static int take_over_all(struct probe *probe, const struct inherited_fd *inherited, size_t n)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < n; i++)
        r = take_over(probe, &inherited[i]);
    if (r < 0)
        return r;
    if (!has_all(probe, 0, _MAP_MAX))
        return give_up(probe, 0);
    if (!has_all(probe, _MAP_MAX, LINK_SOCK_OPS))
        return give_up(probe, _MAP_MAX);
    return 1;
}

/** Whether @name is one that a part of ours is kept under. */
static bool is_ours(const char *name)
{
    char ours[PROBE_NAME_SIZE];

    for (enum probe_fd which = 0; which < _PROBE_FD_MAX; which++) {
        part_name(which, ours);
        if (strcmp(name, ours) == 0)
            return true;
    }
    return false;
}

/* A predecessor may have been killed when it had handed over a part of what it had, under the same
 * names. So that goes first. What comes then is in such an order that whoever finds a part of it,
 * because we are killed, can tell: the optional program before those that must be there, and the
 * maps last, since whoever finds them goes on with what they count. */
int probe_hand_over(const struct probe *probe, const struct probe_keeper *keeper, void *userdata)
{
    char name[PROBE_NAME_SIZE];
    int r;

    for (size_t i = 0; i < probe->n_stale; i++)
        if (is_ours(probe->stale[i]))
            keeper->drop(userdata, probe->stale[i]);
    for (int which = _PROBE_FD_MAX - 1; which >= 0; which--) {
        if (probe->fds[which] < 0 || probe->adopted[which])
            continue;
        part_name((enum probe_fd) which, name);
        r = keeper->keep(userdata, name, probe->fds[which]);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < probe->n_stale; i++)
        if (!is_ours(probe->stale[i]))
            keeper->drop(userdata, probe->stale[i]);
    return 0;
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

int probe_open(struct probe **ret, const struct inherited_fd *inherited, size_t n_inherited,
               struct reason *reason)
{
    _cleanup_(probe_freep) struct probe *probe = calloc(1, sizeof(*probe));
    bool same_counters;
    sd_id128_t epoch;
    int r;

    if (!probe)
        return -ENOMEM;
    for (int i = 0; i < _PROBE_FD_MAX; i++)
        probe->fds[i] = -1;
    libbpf_set_print(on_libbpf_message);

    r = take_over_all(probe, inherited, n_inherited);
    if (r < 0)
        return r;
    same_counters = probe->adopted[MAP_PAGES];
    if (r == 0) {
        r = load_best(probe);
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
    for (int i = 0; i < _PROBE_FD_MAX; i++)
        safe_close(probe->fds[i]);
    for (size_t i = 0; i < probe->n_stale; i++)
        free(probe->stale[i]);
    free(probe->stale);
    free(probe);
    return NULL;
}
