/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_VERBS_H
#define PORTMON_VERBS_H

/* One function a verb, each in the file of that name. They return an exit status. */

#include "client/arguments.h"
#include "client/monitor-client.h"
#include "client/summary.h"

#include <sys/types.h>

struct table;

/** What a verb works with. */
struct context {
    struct arguments arguments;
    struct monitor_client *client; /* see context_connect() */
    uint32_t retention_days;       /* see context_use_zone() */
    pid_t agent;                   /* polkit's, 0 if there is none */
    bool shown;                    /* see context_begin_text() */
};

/** Connects to portmond. Returns 0 or a negative errno with @reason. */
int context_connect(struct context *context, struct reason *reason);

/** As context_connect(), and sees to it that polkit can ask for a password. */
int context_connect_to_change(struct context *context, struct reason *reason);

/** Ends what was begun. */
void context_done(struct context *context);

/** From here on days are those of portmond's time zone, which may be on another host. */
int context_use_zone(struct context *context, struct reason *reason);

struct json_object;

/**
 * Shows one port: prints it as text, or hands JSON to json_emit() with @list. Returns 0 or a
 * negative errno with @reason.
 */
typedef int (*show_port)(struct context *context, uint16_t port, struct json_object *list,
                         struct reason *reason);

/**
 * Shows the port that was given, or all that are watched, one after the other. Of all, those for
 * which @show returns -ENODATA are left out, unless it is each of them.
 */
int context_show(struct context *context, show_port show, struct reason *reason);

/** Begins the text of one of several ports: a blank line parts it from the one before. */
void context_begin_text(struct context *context);

/** Says on standard error how to watch a port. */
void hint_no_ports(void);

/** How wide the terminal is, if it is one: COLUMNS, or what it says itself, or 80. */
unsigned context_columns(void);

/** Prints a table, and on a terminal as much of it as fits. */
void context_print_table(struct table *table);

/** Whether standard output is a terminal that wants colours. */
bool context_wants_color(void);

/**
 * Says why something failed, with the nearest port that is watched if it was for one that is not,
 * and returns STATUS_FAILED.
 */
int report_failure(struct context *context, const struct reason *reason, int r);

/** What a summary is to contain beside the total. */
struct summary_request {
    enum resolution by;
    bool percentile;
};

/**
 * Asks for the range that the command line names, or, if it names none, a usual one for @by.
 * Returns 0 or a negative errno with @reason: -ENODATA if it is the port's own billing cycle, and
 * it has none.
 */
int context_summary(struct context *context, uint16_t port, const struct summary_request *request,
                    struct summary *ret, struct reason *reason);

#define GAP_SPAN_SIZE 128

/** When a gap was: "from … to …", or "at …" if it took less than a second. */
const char *gap_span(char buffer[static GAP_SPAN_SIZE], const struct gap *gap, bool utc);

/** Prints gaps as lines of text, if there are any. */
void print_gaps(const struct gap_list *gaps, bool utc);

int verb_stats(struct context *context);
int verb_history(struct context *context);
int verb_connections(struct context *context);
int verb_watch(struct context *context);
int verb_status(struct context *context);
int verb_doctor(struct context *context);
int verb_list_ports(struct context *context);
int verb_add_port(struct context *context);
int verb_remove_port(struct context *context);
int verb_describe_port(struct context *context);
int verb_flush(struct context *context);
int verb_tui(struct context *context);

#endif
