/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_JSON_H
#define PORTMON_JSON_H

/*
 * What the client prints with --json. This is the only part that knows the JSON library. Amounts
 * are plain bytes, times microseconds or RFC 3339.
 */

#include "client/monitor-client.h"
#include "client/summary.h"
#include "shared/checklist.h"
#include "shared/cleanup.h"

struct json_object;

struct json_object *json_free(struct json_object *object);
DEFINE_CLEANUP(struct json_object, json_free)

struct json_object *json_stats(const struct port_stats *stats);

/** A summary with rows of days. */
struct json_object *json_range(uint16_t port, enum role role, const struct summary *summary,
                               bool utc);

struct json_object *json_history(uint16_t port, enum role role, enum resolution resolution,
                                 const struct summary *summary, bool utc);
struct json_object *json_connections(uint16_t port, const struct connection_list *list);
struct json_object *json_status(const struct service_status *status, const struct port_list *ports,
                                const struct gap_list *gaps, uint64_t now_usec);

/** A port at a moment, for a line of a stream. */
struct json_object *json_line(uint16_t port, enum role role, const struct role_figures *figures,
                              uint64_t now_usec, bool utc);

struct json_object *json_ports(const struct port_list *ports);

/** Findings of a doctor: a sink of checklist_run(), what it fills, and how that ends. */
struct json_object *json_findings_new(void);
void json_add_finding(void *object, const char *name, const struct finding *finding);
void json_finish_findings(struct json_object *object, bool good);

/**
 * Collects the objects of several ports in one: {"ports": […]}. With a @list that is NULL the
 * object is printed by itself. @object becomes the list's, or is freed. Returns 0 or -ENOMEM.
 */
struct json_object *json_list_new(void);
int json_emit(struct json_object *list, struct json_object *object);

/** Prints it, over several lines or in one. Returns 0 or -ENOMEM. */
int json_print(struct json_object *object);
int json_print_line(struct json_object *object);

#endif
