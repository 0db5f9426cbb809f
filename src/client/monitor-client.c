/* SPDX-License-Identifier: MIT */
#include "client/monitor-client.h"

#include "client/monitor-answers.h"
#include "shared/bus-names.h"
#include "shared/time-util.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <systemd/sd-bus.h>

struct monitor_client {
    sd_bus *bus;
    const char *destination; /* NULL on a peer connection */
    const char *way;
    bool may_start; /* see enum monitor_start */
};

/* ---- connecting ---- */

static int open_peer(const char *path, sd_bus **ret)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_free_ char *escaped = NULL, *address = NULL;
    size_t n = 0;
    int r;

    /* In a D-Bus address everything but a few characters is written %xx. */
    escaped = malloc(strlen(path) * 3 + 1);
    if (!escaped)
        return -ENOMEM;
    for (const char *c = path; *c; c++)
        if (strchr("-_/.\\*", *c) || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
            (*c >= 'A' && *c <= 'Z'))
            escaped[n++] = *c;
        else
            n += (size_t) sprintf(escaped + n, "%%%02x", (unsigned char) *c);
    escaped[n] = '\0';
    if (asprintf(&address, "unix:path=%s", escaped) < 0)
        return -ENOMEM;

    if ((r = sd_bus_new(&bus)) < 0 || (r = sd_bus_set_address(bus, address)) < 0 ||
        (r = sd_bus_start(bus)) < 0)
        return r;
    *ret = TAKE_PTR(bus);
    return 0;
}

/** Whether portmond answers; starts it if it may and the bus can. */
static int ping(sd_bus *bus, bool may_start, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
    int r;

    if ((r = sd_bus_message_new_method_call(bus, &message, MONITOR_BUS_NAME, MONITOR_PATH,
                                            "org.freedesktop.DBus.Peer", "Ping")) < 0 ||
        (r = sd_bus_message_set_auto_start(message, may_start)) < 0)
        return r;
    return sd_bus_call(bus, message, 0, error, NULL);
}

/** Whether the bus starts portmond when it is called, as systemd does when its socket is used. */
static bool can_be_started(sd_bus *bus)
{
    _cleanup_free_ char **names = NULL;
    bool found = false;

    if (sd_bus_list_names(bus, NULL, &names) < 0)
        return false;
    for (char **name = names; *name; name++) {
        found |= strcmp(*name, MONITOR_BUS_NAME) == 0;
        free(*name);
    }
    return found;
}

static int open_system(sd_bus **ret, bool may_start, struct reason *reason)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    int r;

    r = sd_bus_open_system(&bus);
    if (r < 0)
        return fail(reason, -ENOTCONN, "there is no system bus");
    r = ping(bus, may_start, &error);
    if (sd_bus_error_has_names(&error, SD_BUS_ERROR_SERVICE_UNKNOWN,
                               SD_BUS_ERROR_NAME_HAS_NO_OWNER)) {
        /* Then its socket is systemd's, too, and to try it would start it after all. */
        if (!may_start && can_be_started(bus))
            return fail(reason, -ESHUTDOWN,
                        "nobody has " MONITOR_BUS_NAME
                        " on the system bus; start it: systemctl start portmond");
        return fail(reason, -ENOTCONN, "nobody has " MONITOR_BUS_NAME " on the system bus");
    }
    if (r < 0)
        return fail(reason, r, "%s", error.message);
    *ret = TAKE_PTR(bus);
    return 0;
}

static int open_local(struct monitor_client *client, bool may_start, struct reason *reason)
{
    struct reason why = {};
    int r = open_system(&client->bus, may_start, &why);

    client->way = "bus";
    if (r >= 0) {
        client->destination = MONITOR_BUS_NAME;
        return 0;
    }
    if (r != -ENOTCONN)
        return fail(reason, r, "Cannot reach portmond: %s", why.text);
    client->way = "socket";
    if (open_peer(DEFAULT_SOCKET_PATH, &client->bus) >= 0)
        return 0;
    return fail(reason, -ENOTCONN,
                "Cannot reach portmond: %s, and nobody listens on " DEFAULT_SOCKET_PATH
                "; start it (systemctl start portmond), or name its socket with --socket",
                why.text);
}

static int open_remote(struct monitor_client *client, const char *host, bool may_start,
                       struct reason *reason)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    int r;

    /* The connection is always made; whether ssh could is seen by the first call. */
    r = sd_bus_open_system_remote(&client->bus, host);
    if (r < 0)
        return fail_errno(reason, r, "Cannot start ssh to %s", host);
    client->destination = MONITOR_BUS_NAME;
    client->way = "ssh";
    r = ping(client->bus, may_start, &error);
    if (sd_bus_error_has_names(&error, SD_BUS_ERROR_SERVICE_UNKNOWN,
                               SD_BUS_ERROR_NAME_HAS_NO_OWNER))
        return fail(reason, -ENOTCONN,
                    "portmond is not there on %s: nobody has " MONITOR_BUS_NAME
                    " on its system bus; install portmon there, or start it",
                    host);
    if (r < 0)
        return fail(reason, -ENOTCONN,
                    "Cannot reach the system bus of %s by ssh: %s (it needs ssh without a prompt "
                    "for a password, and systemd-stdio-bridge at the other end)",
                    host, error.message);
    return 0;
}

int monitor_client_open(struct monitor_client **ret, const struct monitor_target *target,
                        struct reason *reason)
{
    _cleanup_(monitor_client_freep) struct monitor_client *client = calloc(1, sizeof(*client));
    bool may_start = target->start != MONITOR_START_NEVER;
    int r;

    if (!client)
        return -ENOMEM;
    client->may_start = target->start == MONITOR_START;
    if (target->socket_path) {
        client->way = "socket";
        r = open_peer(target->socket_path, &client->bus);
        if (r < 0)
            return fail(reason, -ENOTCONN,
                        "Cannot reach portmond on %s: %s; start portmond with this --socket, or "
                        "name the one that it has",
                        target->socket_path, strerrordesc_np(-r));
    } else if (target->host)
        r = open_remote(client, target->host, may_start, reason);
    else
        r = open_local(client, may_start, reason);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(client);
    return 0;
}

struct monitor_client *monitor_client_free(struct monitor_client *client)
{
    if (!client)
        return NULL;
    sd_bus_flush_close_unref(client->bus);
    free(client);
    return NULL;
}

const char *monitor_client_way(const struct monitor_client *client)
{
    return client->way;
}

/* ---- calling ---- */

/* Longer than portmond waits for somebody who has to type a password. */
#define AUTHORIZATION_USEC (180 * USEC_PER_SEC)

/** The polkit action that a method asks for, or NULL. */
static const char *action_of(const char *member)
{
    static const struct {
        const char *member;
        const char *action;
    } actions[] = {
        {"AddPort", ACTION_MANAGE_PORTS},
        {"RemovePort", ACTION_MANAGE_PORTS},
        {"SetDescription", ACTION_MANAGE_PORTS},
        {"Flush", ACTION_FLUSH},
        {"ListConnections", ACTION_INSPECT_CONNECTIONS},
    };

    for (size_t i = 0; i < ELEMENTSOF(actions); i++)
        if (strcmp(actions[i].member, member) == 0)
            return actions[i].action;
    return NULL;
}

/** Puts why a call failed behind what was tried: @tried is "read the figures of port 5000". */
static int call_failed(struct reason *reason, int r, const sd_bus_error *error, const char *member,
                       const char *tried)
{
    if (sd_bus_error_has_name(error, ERROR_NO_SUCH_PORT))
        r = -ENOENT;
    else if (sd_bus_error_has_names(error, SD_BUS_ERROR_ACCESS_DENIED,
                                    SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED))
        r = -EACCES;
    else if (sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN,
                                    SD_BUS_ERROR_NAME_HAS_NO_OWNER))
        r = -ENOTCONN;
    if (r == -EACCES && action_of(member))
        return fail(reason, r, "Cannot %s: %s (the action is %s; try sudo)", tried, error->message,
                    action_of(member));
    if (r == -ECONNRESET || r == -ENOTCONN)
        return fail(reason, -ENOTCONN, "Cannot %s: portmond went away", tried);
    if (error->message)
        return fail(reason, r, "Cannot %s: %s", tried, error->message);
    return fail_errno(reason, r, "Cannot %s", tried);
}

/**
 * Takes what portmond sends unasked off the queue. Over its socket that is every signal;
 * sd_bus_call() puts them by, and who stays connected for long would keep them all.
 */
static void drop_signals(sd_bus *bus)
{
    while (sd_bus_process(bus, NULL) > 0)
        ;
}

/** Calls a method of portmond's object. @ret_reply may be NULL. */
static int call_interface(struct monitor_client *client, struct reason *reason, const char *tried,
                          const char *interface, const char *member, sd_bus_message **ret_reply,
                          const char *types, va_list arguments)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    int r;

    drop_signals(client->bus);
    r = sd_bus_message_new_method_call(client->bus, &message, client->destination, MONITOR_PATH,
                                       interface, member);
    if (r >= 0) {
        r = sd_bus_message_appendv(message, types, arguments);
        if (r == -EINVAL)
            return fail(reason, r, "Cannot %s: the text is not valid UTF-8", tried);
    }
    if (r >= 0)
        r = sd_bus_message_set_allow_interactive_authorization(message, true);
    if (r >= 0)
        r = sd_bus_message_set_auto_start(message, client->may_start);
    if (r >= 0)
        r = sd_bus_call(client->bus, message, action_of(member) ? AUTHORIZATION_USEC : 0, &error,
                        ret_reply);
    return r < 0 ? call_failed(reason, r, &error, member, tried) : 0;
}

/** Calls a method of Monitor1. */
static int call(struct monitor_client *client, struct reason *reason, const char *tried,
                const char *member, sd_bus_message **ret_reply, const char *types, ...)
{
    va_list arguments;
    int r;

    va_start(arguments, types);
    r = call_interface(client, reason, tried, MONITOR_INTERFACE, member, ret_reply, types,
                       arguments);
    va_end(arguments);
    return r;
}

/** Calls a method of one of D-Bus' own interfaces. */
static int call_standard(struct monitor_client *client, struct reason *reason, const char *tried,
                         const char *interface, const char *member, sd_bus_message **ret_reply,
                         const char *types, ...)
{
    va_list arguments;
    int r;

    va_start(arguments, types);
    r = call_interface(client, reason, tried, interface, member, ret_reply, types, arguments);
    va_end(arguments);
    return r;
}

/** A reply that is not of the shape it should have. */
static int bad_reply(struct reason *reason, int r, const char *tried)
{
    return fail_errno(reason, r, "Cannot %s: portmond's answer makes no sense", tried);
}

#define TRIED_SIZE 96

/* A bus takes messages of 32 MiB; the figures of a port, with the longest description, take 1.5
 * KiB. */
#define MAX_PORTS_AT_ONCE 16384

static const char *tried_port(char buffer[static TRIED_SIZE], const char *format, uint16_t port)
{
    snprintf(buffer, TRIED_SIZE, format, port);
    return buffer;
}

/* ---- the calls ---- */

int monitor_client_status(struct monitor_client *client, struct service_status *ret,
                          struct reason *reason)
{
    static const char tried[] = "read the status of portmond";
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_service_status_ struct service_status status = {};
    int r = call_standard(client, reason, tried, "org.freedesktop.DBus.Properties", "GetAll",
                          &reply, "s", MONITOR_INTERFACE);

    if (r < 0)
        return r;
    r = answer_status(reply, &status);
    if (r < 0)
        return bad_reply(reason, r, tried);
    *ret = status;
    status = (struct service_status){};
    return 0;
}

int monitor_client_list_ports(struct monitor_client *client, struct port_list *ret,
                              struct reason *reason)
{
    static const char tried[] = "list the ports";
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_port_list_ struct port_list list = {};
    int r = call(client, reason, tried, "ListPorts", &reply, "");

    if (r < 0)
        return r;
    r = answer_ports(reply, &list);
    if (r < 0)
        return bad_reply(reason, r, tried);
    *ret = list;
    list = (struct port_list){};
    return 0;
}

int monitor_client_stats(struct monitor_client *client, uint16_t port, struct port_stats *ret,
                         struct reason *reason)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_port_stats_ struct port_stats stats = {};
    char tried[TRIED_SIZE];
    int r;

    tried_port(tried, "read the figures of port %u", port);
    r = call(client, reason, tried, "GetStats", &reply, "q", port);
    if (r < 0)
        return r;
    r = answer_stats(reply, &stats);
    if (r < 0)
        return bad_reply(reason, r, tried);
    *ret = stats;
    stats = (struct port_stats){};
    return 0;
}

/** Asks for the figures of one port after the other. */
static int stats_of_each(struct monitor_client *client, const struct port_list *ports,
                         struct port_stats_list *ret, struct reason *reason)
{
    _cleanup_port_stats_list_ struct port_stats_list list = {
        .ports = calloc(ports->n, sizeof(*list.ports)),
    };
    int r;

    if (!list.ports)
        return -ENOMEM;
    for (size_t i = 0; i < ports->n; i++) {
        r = monitor_client_stats(client, ports->ports[i].port, &list.ports[list.n], reason);
        if (r < 0 && r != -ENOENT) /* it was removed meanwhile */
            return r;
        list.n += r >= 0;
    }
    *ret = list;
    list = (struct port_stats_list){};
    return 0;
}

int monitor_client_all_stats(struct monitor_client *client, struct port_stats_list *ret,
                             struct reason *reason)
{
    _cleanup_port_list_ struct port_list ports = {};
    static const char tried[] = "read the figures of all ports";
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_port_stats_list_ struct port_stats_list list = {};
    int r = client->destination ? monitor_client_list_ports(client, &ports, reason) : 0;

    if (r < 0)
        return r;
    if (ports.n > MAX_PORTS_AT_ONCE)
        return stats_of_each(client, &ports, ret, reason);
    r = call_standard(client, reason, tried, "org.freedesktop.DBus.ObjectManager",
                      "GetManagedObjects", &reply, "");
    if (r < 0)
        return r;
    r = answer_all_stats(reply, &list);
    if (r < 0)
        return bad_reply(reason, r, tried);
    *ret = list;
    list = (struct port_stats_list){};
    return 0;
}

int monitor_client_range(struct monitor_client *client, uint16_t port, enum role role,
                         uint64_t from_usec, uint64_t until_usec, struct traffic *ret,
                         struct reason *reason)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    struct interval record;
    char tried[TRIED_SIZE];
    int r;

    tried_port(tried, "read the figures of port %u", port);
    r = call(client, reason, tried, "GetRange", &reply, "qstt", port, role_to_string(role),
             from_usec, until_usec);
    if (r < 0)
        return r;
    r = answer_record(reply, &record);
    if (r <= 0)
        return bad_reply(reason, r < 0 ? r : -EBADMSG, tried);
    *ret = record.traffic;
    return 0;
}

int monitor_client_history(struct monitor_client *client, uint16_t port, enum role role,
                           uint64_t from_usec, uint64_t until_usec, const char *resolution,
                           struct history *ret, struct reason *reason)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_history_ struct history history = {};
    struct interval record;
    char tried[TRIED_SIZE];
    int r;

    tried_port(tried, "read the history of port %u", port);
    r = call(client, reason, tried, "GetHistory", &reply, "qstts", port, role_to_string(role),
             from_usec, until_usec, resolution);
    if (r < 0)
        return r;
    r = sd_bus_message_enter_container(reply, 'a', "(tttttttt)");
    while (r >= 0 && (r = answer_record(reply, &record)) > 0)
        r = history_add(&history, record.start_usec, &record.traffic);
    if (r < 0)
        return bad_reply(reason, r, tried);
    *ret = history;
    history = (struct history){};
    return 0;
}

int monitor_client_gaps(struct monitor_client *client, uint64_t from_usec, uint64_t until_usec,
                        struct gap_list *ret, struct reason *reason)
{
    static const char tried[] = "read the gaps";
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_gap_list_ struct gap_list gaps = {};
    int r = call(client, reason, tried, "ListGaps", &reply, "tt", from_usec, until_usec);

    if (r < 0)
        return r;
    r = answer_gaps(reply, &gaps);
    if (r < 0)
        return bad_reply(reason, r, tried);
    *ret = gaps;
    gaps = (struct gap_list){};
    return 0;
}

int monitor_client_connections(struct monitor_client *client, uint16_t port,
                               struct connection_list *ret, struct reason *reason)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_connection_list_ struct connection_list list = {};
    char tried[TRIED_SIZE];
    int r;

    tried_port(tried, "list the connections of port %u", port);
    r = call(client, reason, tried, "ListConnections", &reply, "q", port);
    if (r < 0)
        return r;
    r = answer_connections(reply, &list);
    if (r < 0)
        return bad_reply(reason, r, tried);
    *ret = list;
    list = (struct connection_list){};
    return 0;
}

int monitor_client_add_port(struct monitor_client *client, uint16_t port, const char *description,
                            struct reason *reason)
{
    char tried[TRIED_SIZE];

    return call(client, reason, tried_port(tried, "add port %u", port), "AddPort", NULL, "qs", port,
                description);
}

int monitor_client_remove_port(struct monitor_client *client, uint16_t port, struct reason *reason)
{
    char tried[TRIED_SIZE];

    return call(client, reason, tried_port(tried, "remove port %u", port), "RemovePort", NULL, "q",
                port);
}

int monitor_client_describe_port(struct monitor_client *client, uint16_t port,
                                 const char *description, struct reason *reason)
{
    char tried[TRIED_SIZE];

    return call(client, reason, tried_port(tried, "describe port %u", port), "SetDescription", NULL,
                "qs", port, description);
}

int monitor_client_flush(struct monitor_client *client, struct reason *reason)
{
    return call(client, reason, "flush the ledger", "Flush", NULL, "");
}
