/* SPDX-License-Identifier: MIT */
#include "daemon/doctor.h"

#include "daemon/privileges.h"
#include "daemon/probe.h"
#include "shared/bus-names.h"
#include "shared/checklist.h"
#include "shared/format.h"
#include "shared/time-util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <linux/capability.h>
#include <mntent.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/utsname.h>

#define PAGE_BUFFER 4096

/* Less room than this is worth a word: a ledger of a few ports grows by some MiB a year. */
#define LITTLE_SPACE_BYTES (UINT64_C(64) << 20)

/* What the doctor sends each way: odd numbers, more than a segment. */
#define SENT_BYTES     100003
#define ANSWERED_BYTES 7001

/* How long the kernel may take to close both ends of a connection. */
#define CLOSE_PATIENCE_USEC (5 * USEC_PER_SEC)
#define CLOSE_PAUSE_USEC    1000

/** What is looked at. */
struct patient {
    const struct doctor_case *it;
    struct probe *probe; /* NULL if there could be none; @reason says why */
    struct reason reason;
};

/** The first line of a small file, or NULL. */
static const char *read_line(const char *path, char buffer[static PAGE_BUFFER])
{
    _cleanup_fclose_ FILE *file = fopen(path, "re");

    if (!file || !fgets(buffer, PAGE_BUFFER, file))
        return NULL;
    buffer[strcspn(buffer, "\n")] = '\0';
    return buffer;
}

static void check_config(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;

    if (patient->it->config_is_valid)
        find(finding, VERDICT_OK, "The configuration is valid");
    else
        find(finding, VERDICT_BAD,
             "The configuration is not valid, so portmond does not start: mend what is said above; "
             "what follows is without it");
}

static void check_kernel(void *subject, struct finding *finding)
{
    struct utsname kernel = {};
    unsigned major = 0, minor = 0;

    uname(&kernel);
    sscanf(kernel.release, "%u.%u", &major, &minor);
    if (major < 5 || (major == 5 && minor < 10))
        find(finding, VERDICT_NOTE,
             "Linux %s is older than 5.10 and has not all that exact counting takes",
             kernel.release);
    else
        find(finding, VERDICT_OK, "Linux %s", kernel.release);
}

static void check_btf(void *subject, struct finding *finding)
{
    if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
        find(finding, VERDICT_OK, "The kernel describes its types (BTF)");
    else
        find(finding, VERDICT_BAD,
             "/sys/kernel/btf/vmlinux can't be read: use a kernel with CONFIG_DEBUG_INFO_BTF, as "
             "all distributions have, and mount /sys");
}

static void check_capabilities(void *subject, struct finding *finding)
{
    if (!privileges_have(CAPABILITY(CAP_BPF) | CAPABILITY(CAP_PERFMON)) &&
        !privileges_have(CAPABILITY(CAP_SYS_ADMIN)))
        find(finding, VERDICT_BAD,
             "CAP_BPF and CAP_PERFMON are missing: run this as root (the service has them)");
    else if (!privileges_have(CAPABILITY(CAP_NET_ADMIN)))
        find(finding, VERDICT_NOTE,
             "CAP_NET_ADMIN is missing: without sock_ops the kernel may skip events under load");
    else
        find(finding, VERDICT_OK, "CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN are there");
}

static void check_lockdown(void *subject, struct finding *finding)
{
    char buffer[PAGE_BUFFER];
    const char *mode = read_line("/sys/kernel/security/lockdown", buffer);

    if (mode && strstr(mode, "[confidentiality]"))
        find(finding, VERDICT_BAD,
             "The kernel is locked down for confidentiality, which forbids BPF to read its memory: "
             "boot with lockdown=integrity, or without Secure Boot");
    else
        find(finding, VERDICT_OK, "Kernel lockdown does not stand in the way");
}

static void check_bpf(void *subject, struct finding *finding)
{
    char buffer[PAGE_BUFFER];
    const char *jit = read_line("/proc/sys/net/core/bpf_jit_enable", buffer);

    if (!jit)
        find(
            finding, VERDICT_NOTE,
            "Whether BPF programs are compiled can't be seen without root, or outside of the host");
    else if (*jit == '0')
        find(finding, VERDICT_NOTE,
             "BPF programs are interpreted: sysctl net.core.bpf_jit_enable=1 makes them faster");
    else
        find(finding, VERDICT_OK, "BPF programs are compiled");
}

static void check_cgroup(void *subject, struct finding *finding)
{
    _cleanup_fclose_ FILE *mounts = setmntent("/proc/self/mounts", "re");
    struct mntent *mount;
    struct stat status;

    while (mounts && (mount = getmntent(mounts)))
        if (strcmp(mount->mnt_type, "cgroup2") == 0 && stat(mount->mnt_dir, &status) == 0) {
            if (status.st_ino == 1)
                find(finding, VERDICT_OK, "The root of the cgroups is at %s", mount->mnt_dir);
            else
                find(finding, VERDICT_NOTE,
                     "%s is a container's cgroup: without sock_ops the kernel may skip events "
                     "under load; better run portmond on the host, it sees containers too",
                     mount->mnt_dir);
            return;
        }
    find(finding, VERDICT_NOTE,
         "No cgroup2 is mounted, so there is no sock_ops: mount -t cgroup2 none /sys/fs/cgroup");
}

/** The socket of the system bus. */
static void bus_path(char path[static PAGE_BUFFER])
{
    static const char prefix[] = "unix:path=";
    const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");

    if (!address || strncmp(address, prefix, strlen(prefix)) != 0)
        address = "unix:path=/run/dbus/system_bus_socket";
    snprintf(path, PAGE_BUFFER, "%s", address + strlen(prefix));
    path[strcspn(path, ",;")] = '\0';
}

static bool can_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
        return false;
    strcpy(address.sun_path, path);
    return connect(fd, (const struct sockaddr *) &address, sizeof(address)) == 0;
}

static void check_bus(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;
    const char *socket_path = patient->it->config->socket_path;
    char path[PAGE_BUFFER];

    bus_path(path);
    if (!can_connect(path))
        find(finding, VERDICT_NOTE, "No system bus answers on %s: clients use the socket %s", path,
             socket_path);
    else if (access("/usr/share/dbus-1/system.d/" MONITOR_BUS_NAME ".conf", F_OK) < 0 &&
             access("/etc/dbus-1/system.d/" MONITOR_BUS_NAME ".conf", F_OK) < 0)
        find(finding, VERDICT_NOTE,
             "The system bus has no policy for " MONITOR_BUS_NAME ", so clients use the socket %s: "
             "install portmon, not only its programs",
             socket_path);
    else
        find(finding, VERDICT_OK, "The system bus runs and knows portmon");
}

static void check_polkit(void *subject, struct finding *finding)
{
    if (access("/usr/share/polkit-1/actions/org.portmon.monitor1.policy", F_OK) < 0)
        find(finding, VERDICT_NOTE,
             "portmon's polkit actions are not installed: only root can change ports");
    else if (access("/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service", F_OK) <
             0)
        find(finding, VERDICT_NOTE, "There is no polkit: only root can change ports");
    else
        find(finding, VERDICT_OK, "polkit decides who may change ports");
}

/** Whether portmond can make the data directory. */
static void check_parent(const char *directory, struct finding *finding)
{
    _cleanup_free_ char *copy = strdup(directory);
    const char *parent = copy ? dirname(copy) : "/";

    if (access(parent, W_OK | X_OK) < 0)
        find(finding, VERDICT_BAD, "%s is not there, and can't be made: %s: %s", directory, parent,
             strerrordesc_np(errno));
    else
        find(finding, VERDICT_OK, "%s is not there yet; portmond makes it", directory);
}

static void check_disk(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;
    const char *directory = patient->it->config->data_directory;
    char space[FORMAT_SIZE];
    struct statvfs status;
    uint64_t left;

    if (access(directory, W_OK | X_OK) < 0) {
        if (errno == ENOENT)
            check_parent(directory, finding);
        else
            find(finding, VERDICT_BAD, "Cannot write to %s: %s; %s, or set another data_dir",
                 directory, strerrordesc_np(errno),
                 errno == EROFS     ? "remount it"
                 : errno == ENOTDIR ? "remove what is in its place"
                                    : "run this as root");
        return;
    }
    if (statvfs(directory, &status) < 0) {
        find(finding, VERDICT_BAD, "Cannot tell how much room is in %s: %s", directory,
             strerrordesc_np(errno));
        return;
    }
    left = (uint64_t) status.f_bavail * status.f_frsize;
    format_bytes(space, left, UNITS_IEC);
    if (left < LITTLE_SPACE_BYTES)
        find(finding, VERDICT_BAD, "Only %s left in %s: make room, or set another data_dir", space,
             directory);
    else
        find(finding, VERDICT_OK, "%s can be written, with %s left", directory, space);
}

static void check_clock(void *subject, struct finding *finding)
{
    find_clock(finding);
}

static void check_collector(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;

    if (!patient->probe)
        find(finding, VERDICT_BAD, "%s", patient->reason.text);
    else if (!probe_is_exact(patient->probe))
        find(finding, VERDICT_NOTE, "portmond counts by %s here, which is not exact",
             probe_collector(patient->probe));
    else
        find(finding, VERDICT_OK, "portmond counts by %s here", probe_collector(patient->probe));
}

/* ---- counting known bytes ---- */

/** A listener on a free port of the loopback device. */
static int listen_somewhere(uint16_t *ret_port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof(address);

    if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ||
        listen(fd, 1) < 0 || getsockname(fd, (struct sockaddr *) &address, &length) < 0)
        return -errno;
    *ret_port = ntohs(address.sin_port);
    return TAKE_FD(fd);
}

/** Sends so many bytes from one end and reads them at the other, a little at a time. */
static int move_bytes(int from, int to, size_t amount)
{
    static const char zeros[PAGE_BUFFER];
    char buffer[PAGE_BUFFER];

    while (amount) {
        size_t chunk = amount < sizeof(zeros) ? amount : sizeof(zeros);
        ssize_t n = send(from, zeros, chunk, MSG_NOSIGNAL);

        if (n < 0)
            return -errno;
        if (recv(to, buffer, (size_t) n, MSG_WAITALL) != n)
            return -EIO;
        amount -= (size_t) n;
    }
    return 0;
}

static int transfer(int listener, uint16_t port)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(port),
    };
    _cleanup_close_ int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server = -1;
    int r;

    if (client < 0 || connect(client, (const struct sockaddr *) &address, sizeof(address)) < 0)
        return -errno;
    server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (server < 0)
        return -errno;
    r = move_bytes(client, server, SENT_BYTES);
    return r < 0 ? r : move_bytes(server, client, ANSWERED_BYTES);
}

/** Reads what was counted, as soon as the kernel has seen the end of the connection. */
static int read_counted(struct probe *probe, struct port_counters *counted)
{
    uint64_t end = now_usec(CLOCK_MONOTONIC) + CLOSE_PATIENCE_USEC;
    int r;

    while ((r = probe_walk(probe, 0)) >= 0 && (r = probe_read(probe, counted, 1)) >= 0 &&
           counted->role[ROLE_SERVER].unclosed && now_usec(CLOCK_MONOTONIC) < end)
        usleep(CLOSE_PAUSE_USEC);
    return r;
}

static void check_counting(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;
    struct port_counters counted = {};
    const struct counters *server = &counted.role[ROLE_SERVER];
    _cleanup_close_ int listener = -1;
    int r;

    /* What can't be exact is not measured by it. The line before says so. */
    if (!patient->probe || !probe_is_exact(patient->probe))
        return;
    listener = listen_somewhere(&counted.port);
    if ((r = listener) < 0 || (r = probe_watch(patient->probe, counted.port)) < 0 ||
        (r = transfer(listener, counted.port)) < 0 ||
        (r = read_counted(patient->probe, &counted)) < 0)
        find(finding, VERDICT_BAD, "Cannot count bytes over loopback: %s (is lo up?)",
             strerrordesc_np(-r));
    else if (server->rx_bytes == SENT_BYTES && server->tx_bytes == ANSWERED_BYTES)
        find(finding, VERDICT_OK, "%d bytes sent and %d answered over loopback, all counted",
             SENT_BYTES, ANSWERED_BYTES);
    else
        find(finding, VERDICT_BAD,
             "%d bytes sent and %d answered over loopback, but %" PRIu64 " and %" PRIu64
             " counted: please report this with the lines above",
             SENT_BYTES, ANSWERED_BYTES, server->rx_bytes, server->tx_bytes);
}

bool doctor_run(const struct doctor_case *it)
{
    static const struct check checks[] = {
        {"config", check_config},     {"kernel", check_kernel},
        {"BTF", check_btf},           {"privileges", check_capabilities},
        {"lockdown", check_lockdown}, {"BPF", check_bpf},
        {"cgroup", check_cgroup},     {"bus", check_bus},
        {"polkit", check_polkit},     {"disk", check_disk},
        {"clock", check_clock},       {"collector", check_collector},
        {"counting", check_counting},
    };
    struct patient patient = {.it = it};
    const char *no_color = getenv("NO_COLOR");
    bool color = isatty(STDOUT_FILENO) && !(no_color && *no_color);
    bool good;

    probe_open(&patient.probe, it->config->collector, NULL, 0, &patient.reason);
    good = checklist_run(checks, ELEMENTSOF(checks), &patient, finding_print, &color);
    probe_free(patient.probe);
    return good;
}
