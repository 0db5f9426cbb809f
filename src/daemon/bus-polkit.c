/* SPDX-License-Identifier: MIT */
/*
 * Who may do what. Root and the daemon's own user may do everything. Others are asked for on the
 * system bus by polkit, which may take minutes: a person types a password. So a handler that has to
 * wait ends, and its message comes to it again when the answer is there. Peers on the socket other
 * than these two may only read.
 */
#include "daemon/bus-internal.h"
#include "shared/log.h"
#include "shared/time-util.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define POLKIT_NAME      "org.freedesktop.PolicyKit1"
#define POLKIT_PATH      "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"

/* In CheckAuthorization's flags. */
#define ALLOW_USER_INTERACTION 1U

/* Longer than anybody takes to type a password; a polkitd that hangs is given up then. */
#define TIMEOUT_USEC (150 * USEC_PER_SEC)

/* Questions that wait for an answer, in all and from one user, on however many connections. Each
 * holds a message. (The bus lets a service have 128 calls that wait for their answers.) */
#define MAX_PENDING          120
#define MAX_PENDING_PER_USER 8

#define CANCELLATION_ID_SIZE 32

/** A question to polkit about a message, until its handler has come back for the answer. */
struct authorization {
    struct bus *bus;
    struct authorization *next;
    sd_bus_message *message;
    const char *action; /* a constant */
    uint64_t id;
    uid_t uid;
    sd_bus_slot *query;
    sd_bus_slot *sender_watch;
    bool answered;
    const char *error; /* the name of the error to give, or NULL if authorised */
    const char *error_text;
};

static const char *cancellation_id(const struct authorization *authorization,
                                   char buffer[static CANCELLATION_ID_SIZE])
{
    snprintf(buffer, CANCELLATION_ID_SIZE, "portmon-%" PRIu64, authorization->id);
    return buffer;
}

static struct authorization *authorization_free(struct authorization *authorization)
{
    if (!authorization)
        return NULL;
    sd_bus_slot_unref(authorization->query);
    sd_bus_slot_unref(authorization->sender_watch);
    sd_bus_message_unref(authorization->message);
    free(authorization);
    return NULL;
}

static void forget(struct authorization *authorization)
{
    struct authorization **link = &authorization->bus->authorizations;

    while (*link != authorization)
        link = &(*link)->next;
    *link = authorization->next;
    authorization_free(authorization);
}

void bus_forget_authorizations(struct bus *bus)
{
    while (bus->authorizations)
        forget(bus->authorizations);
}

/** Ends polkit's dialogue. Nobody waits for the answer, and a polkit that is gone stays so. */
static void cancel(struct authorization *authorization)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
    sd_bus *system = authorization->bus->system;
    char id[CANCELLATION_ID_SIZE];

    if (sd_bus_message_new_method_call(system, &message, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                       "CancelCheckAuthorization") >= 0 &&
        sd_bus_message_set_auto_start(message, false) >= 0 &&
        sd_bus_message_set_expect_reply(message, false) >= 0 &&
        sd_bus_message_append(message, "s", cancellation_id(authorization, id)) >= 0)
        sd_bus_send(system, message, NULL);
}

static void deny(struct authorization *authorization, const char *error, const char *text)
{
    authorization->error = error;
    authorization->error_text = text;
}

/** Whether an error says that there is no polkit, and none that could be started. */
static bool is_absence(const sd_bus_error *error)
{
    static const char by_systemd[] = "org.freedesktop.systemd1.";
    static const char by_bus[] = "org.freedesktop.DBus.Error.Spawn.";

    return sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN,
                                  SD_BUS_ERROR_NAME_HAS_NO_OWNER) ||
           strncmp(error->name, by_systemd, strlen(by_systemd)) == 0 ||
           strncmp(error->name, by_bus, strlen(by_bus)) == 0;
}

static void read_failure(struct authorization *authorization, const sd_bus_error *error)
{
    if (is_absence(error))
        deny(authorization, SD_BUS_ERROR_ACCESS_DENIED,
             "polkit is not running, so only root may do this");
    else if (sd_bus_error_has_names(error, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT)) {
        cancel(authorization);
        deny(authorization, SD_BUS_ERROR_TIMEOUT, "polkit did not answer");
    } else {
        log_debug("polkit: %s: %s", error->name, error->message);
        deny(authorization, SD_BUS_ERROR_ACCESS_DENIED, "polkit could not decide");
    }
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    struct authorization *authorization = userdata;
    sd_bus_message *message = authorization->message;
    int authorized = false, challenge = false;

    if (sd_bus_message_is_method_error(reply, NULL))
        read_failure(authorization, sd_bus_message_get_error(reply));
    else if (sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
             sd_bus_message_read(reply, "bb", &authorized, &challenge) < 0)
        deny(authorization, SD_BUS_ERROR_ACCESS_DENIED, "polkit's answer makes no sense");
    else if (!authorized && challenge)
        deny(authorization, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
             "Interactive authentication is required");
    else if (!authorized)
        deny(authorization, SD_BUS_ERROR_ACCESS_DENIED, "Not authorised");

    authorization->answered = true;
    if (sd_bus_message_rewind(message, true) < 0 ||
        sd_bus_enqueue_for_read(sd_bus_message_get_bus(message), message) < 0)
        forget(authorization);
    return 1;
}

/** The sender left the bus: nobody needs the answer any more. */
static int on_sender_changed(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
    struct authorization *authorization = userdata;
    const char *name, *old_owner, *new_owner;

    if (sd_bus_message_read(signal, "sss", &name, &old_owner, &new_owner) < 0 || *new_owner)
        return 0;
    if (!authorization->answered)
        cancel(authorization);
    forget(authorization);
    return 0;
}

static int watch_sender(struct authorization *authorization, const char *sender)
{
    char match[256];

    snprintf(match, sizeof(match),
             "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
             "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
             sender);
    return sd_bus_add_match_async(authorization->bus->system, &authorization->sender_watch, match,
                                  on_sender_changed, NULL, authorization);
}

static int query(struct authorization *authorization, const char *sender)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *question = NULL;
    uint32_t flags = sd_bus_message_get_allow_interactive_authorization(authorization->message)
                         ? ALLOW_USER_INTERACTION
                         : 0;
    sd_bus *system = authorization->bus->system;
    char id[CANCELLATION_ID_SIZE];
    int r;

    if ((r = sd_bus_message_new_method_call(system, &question, POLKIT_NAME, POLKIT_PATH,
                                            POLKIT_INTERFACE, "CheckAuthorization")) < 0 ||
        (r = sd_bus_message_append(question, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
                                   sender, authorization->action, 0, flags,
                                   cancellation_id(authorization, id))) < 0)
        return r;
    return sd_bus_call_async(system, &authorization->query, question, on_answer, authorization,
                             TIMEOUT_USEC);
}

/** Asks polkit. Returns 0, or a negative errno with @error. */
static int ask(struct bus *bus, sd_bus_message *message, uid_t uid, const char *action,
               sd_bus_error *error)
{
    static uint64_t last_id;
    const char *sender = sd_bus_message_get_sender(message);
    struct authorization *authorization;
    unsigned n = 0, same = 0;
    int r;

    for (authorization = bus->authorizations; authorization; authorization = authorization->next) {
        n++;
        same += authorization->uid == uid;
    }
    if (n >= MAX_PENDING || same >= MAX_PENDING_PER_USER)
        return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                "Too many requests wait for authorisation");
    authorization = calloc(1, sizeof(*authorization));
    if (!authorization)
        return -ENOMEM;
    authorization->bus = bus;
    authorization->message = sd_bus_message_ref(message);
    authorization->action = action;
    authorization->id = ++last_id;
    authorization->uid = uid;
    /* In this order: who leaves after polkit was asked does not leave unseen. */
    if ((r = watch_sender(authorization, sender)) < 0 || (r = query(authorization, sender)) < 0) {
        authorization_free(authorization);
        return r;
    }
    authorization->next = bus->authorizations;
    bus->authorizations = authorization;
    return 0;
}

/** The question that was asked about a message, or NULL. */
static struct authorization *find(struct bus *bus, sd_bus_message *message, const char *action)
{
    struct authorization *authorization = bus->authorizations;

    while (authorization &&
           (authorization->message != message || strcmp(authorization->action, action) != 0))
        authorization = authorization->next;
    return authorization;
}

static int conclude(struct authorization *authorization, sd_bus_error *error)
{
    const char *name = authorization->error, *text = authorization->error_text;

    forget(authorization);
    return name ? sd_bus_error_set(error, name, text) : 1;
}

int bus_authorize(struct bus *bus, sd_bus_message *message, const char *action, sd_bus_error *error)
{
    _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
    struct authorization *authorization = find(bus, message, action);
    uid_t uid;
    int r;

    if (authorization)
        return authorization->answered ? conclude(authorization, error) : 0;
    if ((r = sd_bus_query_sender_creds(message, SD_BUS_CREDS_EUID, &creds)) < 0 ||
        (r = sd_bus_creds_get_euid(creds, &uid)) < 0)
        return r;
    if (uid == 0 || uid == geteuid())
        return 1;
    if (!bus->system || sd_bus_message_get_bus(message) != bus->system)
        return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED,
                                "On the socket only root may do this");
    return ask(bus, message, uid, action, error);
}
