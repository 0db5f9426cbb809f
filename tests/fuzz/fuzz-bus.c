/* SPDX-License-Identifier: MIT */
/*
 * Everything that a peer may send: calls of all members with any arguments, and bytes that are no
 * message. The handlers and the monitor are real; the host is in memory, its ledger on a file.
 *
 * An input is a series of steps. Each begins with a byte that says which one.
 */
#include "daemon/bus.h"
#include "fault/world.h"
#include "fuzz.h"
#include "shared/bus-names.h"
#include "shared/log.h"
#include "unit/util.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>

#define MAX_STEPS 32

/* Turns of the event loop after which all that will happen has happened. */
#define MAX_TURNS 1000

static const struct member {
    const char *path;
    const char *interface;
    const char *name;
    const char *types; /* what it takes */
} members[] = {
#define MONITOR(name, types)                         \
    {                                                \
        MONITOR_PATH, MONITOR_INTERFACE, name, types \
    }
    MONITOR("AddPort", "qs"),
    MONITOR("RemovePort", "q"),
    MONITOR("SetDescription", "qs"),
    MONITOR("ListPorts", ""),
    MONITOR("GetStats", "q"),
    MONITOR("GetRange", "qstt"),
    MONITOR("GetHistory", "qstts"),
    MONITOR("ListGaps", "tt"),
    MONITOR("ListConnections", "q"),
    MONITOR("Flush", ""),
    MONITOR("Nonsense", "s"),
#undef MONITOR
#define PROPERTIES(path, name, types)                        \
    {                                                        \
        path, "org.freedesktop.DBus.Properties", name, types \
    }
    PROPERTIES(MONITOR_PATH, "GetAll", "s"),
    PROPERTIES(MONITOR_PATH, "Get", "ss"),
    PROPERTIES("/org/freedesktop/LogControl1", "Set", "ssv"),
    PROPERTIES(PORT_PATH_PREFIX "/7000", "GetAll", "s"),
    PROPERTIES(PORT_PATH_PREFIX "/7001", "Get", "ss"),
    PROPERTIES(PORT_PATH_PREFIX "/07000", "GetAll", "s"),
    PROPERTIES(PORT_PATH_PREFIX "/65536", "GetAll", "s"),
    PROPERTIES(PORT_PATH_PREFIX, "GetAll", "s"),
#undef PROPERTIES
    {MONITOR_PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""},
    {MONITOR_PATH, "org.freedesktop.DBus.Introspectable", "Introspect", ""},
    {PORT_PATH_PREFIX, "org.freedesktop.DBus.Introspectable", "Introspect", ""},
    {"/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello", ""},
};

/* Words that the handlers know. */
static const char *const words[] = {
    "server",
    "client",
    "5min",
    "hour",
    "day",
    "month",
    "",
    "Web",
    MONITOR_INTERFACE,
    PORT_INTERFACE,
    "org.freedesktop.LogControl1",
    "Ports",
    "RxBytes",
    "Description",
    "LogLevel",
    "Version",
};

/** The daemon, and one client. */
static struct fixture {
    sd_event *event;
    struct monitor *monitor;
    struct bus *bus;
    char *directory;
    struct sockaddr_un address;
    struct world *host;
} fixture;

/** Time is the host's. The fuzzer, which looks how long we take when an alarm rings, has another.
 */
static void enter_world(bool enter)
{
    sigset_t alarm;

    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    if (enter)
        sigprocmask(SIG_BLOCK, &alarm, NULL);
    world = enter ? fixture.host : NULL;
    if (!enter)
        sigprocmask(SIG_UNBLOCK, &alarm, NULL);
}

static void end(void)
{
    enter_world(true);
    bus_free(fixture.bus);
    monitor_free(fixture.monitor);
    sd_event_unref(fixture.event);
    scratch_remove(fixture.directory);
}

static void begin(void)
{
    static const struct service_info info = {.data_directory = "/", .socket_path = "/socket"};
    struct reason reason = {};
    char *data;
    int fd;

    log_open();
    log_set_level(LOG_CRIT);
    setenv("TZ", "Europe/Berlin", 1);
    fixture.directory = scratch_make();
    data = scratch_path(fixture.directory, "data");
    world_make(WORLD_START_USEC);
    fixture.host = world;
    fixture.monitor = world_start(data, &reason);
    free(data);
    MUST_BE(fixture.monitor);

    fixture.address.sun_family = AF_UNIX;
    MUST_BE((size_t) snprintf(fixture.address.sun_path, sizeof(fixture.address.sun_path),
                              "%s/socket", fixture.directory) < sizeof(fixture.address.sun_path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    MUST_BE(fd >= 0);
    MUST_BE(bind(fd, (struct sockaddr *) &fixture.address, sizeof(fixture.address)) == 0);
    MUST_BE(listen(fd, 1) == 0);
    MUST_BE(sd_event_new(&fixture.event) >= 0);
    MUST_BE(bus_new(&fixture.bus, fixture.event, fixture.monitor, &info) >= 0);
    MUST_BE(bus_serve_peers(fixture.bus, fd) >= 0);
    atexit(end);
}

/** Lets the daemon do what there is to do, and the client read what it is sent. */
static void turn(sd_bus *client)
{
    int r = 1;

    for (int i = 0; i < MAX_TURNS && r > 0; i++) {
        r = sd_event_run(fixture.event, 0);
        while (client && sd_bus_process(client, NULL) > 0)
            r = 1;
    }
}

/* ---- steps ---- */

static uint16_t take_port(struct input *input)
{
    uint8_t byte = input_byte(input);

    return byte < 0xf0 ? (uint16_t) (FIRST_PORT + byte % 4) : (uint16_t) input_number(input);
}

static uint64_t take_moment(struct input *input)
{
    uint8_t byte = input_byte(input);

    switch (byte % 4) {
    case 0:
        return input_number(input);
    case 1:
        return byte % 8 == 1 ? 0 : UINT64_MAX;
    default: /* some days before and after */
        return world_time(0) + (uint64_t) (byte - 128) * 6000 * USEC_PER_SEC;
    }
}

static const char *take_word(struct input *input, char buffer[static 256])
{
    uint8_t byte = input_byte(input);
    size_t n = input_byte(input);

    if (byte < 0xc0)
        return words[byte % ELEMENTSOF(words)];
    input_take(input, buffer, n);
    buffer[n] = '\0';
    return buffer;
}

static void append(sd_bus_message *message, char type, struct input *input)
{
    char buffer[256];
    uint16_t port;
    uint64_t moment;

    switch (type) {
    case 'q':
        port = take_port(input);
        sd_bus_message_append_basic(message, type, &port);
        break;
    case 't':
        moment = take_moment(input);
        sd_bus_message_append_basic(message, type, &moment);
        break;
    case 's': /* what is no UTF-8 is refused by our own side: see send_bytes() */
        sd_bus_message_append_basic(message, type, take_word(input, buffer));
        break;
    case 'v':
        sd_bus_message_append(message, "v", "s", take_word(input, buffer));
        break;
    }
}

static void call(sd_bus *client, struct input *input)
{
    static const char other_types[] = "qts";
    const struct member *member = &members[input_byte(input) % ELEMENTSOF(members)];
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
    uint8_t wrong = input_byte(input);
    size_t n = strlen(member->types);

    if (sd_bus_message_new_method_call(client, &message, NULL, member->path, member->interface,
                                       member->name) < 0)
        return;
    for (size_t i = 0; i < n; i++)
        append(message, wrong == 0xff ? other_types[input_byte(input) % 3] : member->types[i],
               input);
    sd_bus_message_set_expect_reply(message, wrong != 0xfe);
    sd_bus_send(client, message, NULL);
}

/** Sends bytes as they are, after a proper handshake; or instead of it. */
static void send_bytes(struct input *input, bool greet)
{
    static const char greeting[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    uint8_t n = input_byte(input), bytes[UINT8_MAX];

    MUST_BE(fd >= 0);
    MUST_BE(connect(fd, (struct sockaddr *) &fixture.address, sizeof(fixture.address)) == 0);
    if (greet)
        send(fd, greeting, sizeof(greeting) - 1, MSG_NOSIGNAL);
    input_take(input, bytes, n);
    send(fd, bytes, n, MSG_NOSIGNAL);
    turn(NULL);
    close(fd);
    turn(NULL);
}

static void step(sd_bus *client, struct input *input)
{
    switch (input_byte(input) % 8) {
    case 0:
        send_bytes(input, true);
        break;
    case 1:
        send_bytes(input, false);
        break;
    case 2:
        world_any_traffic();
        break;
    case 3:
        if (world_second() < MAX_SECONDS - 2)
            world_pass_second();
        monitor_tick(fixture.monitor);
        break;
    default:
        call(client, input);
    }
    turn(client);
}

static sd_bus *connect_client(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sd_bus *client;

    MUST_BE(fd >= 0);
    MUST_BE(connect(fd, (struct sockaddr *) &fixture.address, sizeof(fixture.address)) == 0);
    MUST_BE(sd_bus_new(&client) >= 0);
    MUST_BE(sd_bus_set_fd(client, fd, fd) >= 0);
    MUST_BE(sd_bus_start(client) >= 0);
    turn(client);
    return client;
}

/** Inputs are to do the same whatever came before: ports that were added go. */
static void remove_ports(void)
{
    for (uint16_t port = 0; (port = monitor_next(fixture.monitor, port));) {
        if (port == FIRST_PORT)
            continue;
        MUST_BE(monitor_prepare_removal(fixture.monitor, port) >= 0);
        monitor_remove(fixture.monitor, port);
    }
    if (!monitor_watches(fixture.monitor, FIRST_PORT))
        MUST_BE(monitor_add(fixture.monitor, FIRST_PORT, "") >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct traffic sum;
    sd_bus *client;

    if (!fixture.bus)
        begin();
    enter_world(true);
    client = connect_client();
    for (int i = 0; i < MAX_STEPS && input.size > 0; i++)
        step(client, &input);
    sd_bus_close_unref(client);
    turn(NULL);
    remove_ports();
    MUST_BE(monitor_range(fixture.monitor, FIRST_PORT, ROLE_SERVER, 0, UINT64_MAX, &sum) >= 0);
    log_set_level(LOG_CRIT);
    log_set_to_journal(false);
    enter_world(false);
    return 0;
}
