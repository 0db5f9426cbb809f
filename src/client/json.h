/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_JSON_H
#define PORTMON_JSON_H

/*
 * What the client prints with --json. This is the only part that knows the JSON library. Amounts
 * are plain bytes, times microseconds or RFC 3339.
 */

#include "client/monitor-client.h"
#include "client/range.h"

struct json_object;

struct json_object *json_free(struct json_object *object);
DEFINE_CLEANUP(struct json_object, json_free)

/** The figures of a port over days. */
struct range_report {
    uint16_t port;
    struct range range;
    struct traffic total;
    struct history days;
};

void range_report_clear(struct range_report *report);
#define _cleanup_range_report_ _cleanup_(range_report_clear)

/* Each returns an object, to be freed, or NULL without memory. */

struct json_object *json_stats(const struct port_stats *stats);
struct json_object *json_range_report(const struct range_report *report);
struct json_object *json_status(const struct service_status *status, const struct port_list *ports,
                                uint64_t now_usec);
struct json_object *json_ports(const struct port_list *ports);

/** An object with one member, an array that json_append() fills. */
struct json_object *json_list(const char *name);

/** Puts @item, which becomes the list's, at the end. */
void json_append(struct json_object *list, const char *name, struct json_object *item);

/** Prints it and returns an exit status. */
int json_print(struct json_object *object);

#endif
