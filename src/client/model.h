/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_MODEL_H
#define PORTMON_MODEL_H

/*
 * The state of the dashboard: what is known of portmond and what the user has chosen to see of it.
 * Pure: data and time come in, and what is to be done goes out; no screen, no bus, no clock. Ports
 * are known by their numbers, so what is selected stays so, whatever the order of the list.
 */

#include "client/graph.h"
#include "client/monitor-client.h"
#include "client/prompt.h"
#include "client/series.h"
#include "client/summary.h"
#include "shared/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What an action asks of those who carry it out. */
enum effect {
    EFFECT_REDRAW = 1 << 0,
    EFFECT_REFETCH = 1 << 1, /* something else is wanted: see model_wanted() */
    EFFECT_QUIT = 1 << 2,
    EFFECT_REPAINT = 1 << 3, /* the terminal does not show what it should */
};

/** The parts of the screen that can be in focus, in the order of Tab. */
enum panel {
    PANEL_PORTS,
    PANEL_GRAPH,
    PANEL_SUMMARY,
    PANEL_DAYS,
    PANEL_CONNECTIONS,
    _PANEL_MAX,
};

/** The columns of the list of ports, each of which it can be sorted by. */
enum port_column {
    COLUMN_PORT,
    COLUMN_DESCRIPTION,
    COLUMN_RX_RATE,
    COLUMN_TX_RATE,
    COLUMN_MINUTE,
    COLUMN_TODAY,
    COLUMN_OPEN,
    _COLUMN_MAX,
};

/** A moment on two clocks: one that people read, and one that nobody sets. */
struct moment {
    uint64_t wall_usec;   /* CLOCK_REALTIME */
    uint64_t steady_usec; /* CLOCK_BOOTTIME */
};

/** The seconds that the list's small graphs show. */
#define MINUTE_SEC 60

struct model_port {
    uint16_t port;
    bool present; /* in the newest list */
    char *description;
    uint32_t cycle_day;
    struct role_figures figures[_ROLE_MAX];
    uint64_t sampled_usec; /* steady; 0 if what happened since the last sample is not known */
    struct series series[_ROLE_MAX];
    uint64_t rates[_ROLE_MAX][_DIRECTION_MAX]; /* of the last second that is over */
    uint64_t minute_bytes[_ROLE_MAX];
    struct graph_scale minute_scale;
};

/** A period of the range, for the bars. */
struct bar {
    uint64_t start_usec;
    struct traffic traffic;
};

/** What the dashboard wants to be told of the selected port. */
struct query {
    uint16_t port; /* 0 if there is none */
    enum role role;
    uint64_t from_usec;
    uint64_t until_usec;
    enum resolution by;
    bool percentile; /* whether all detail of the range is still kept */
};

struct wanted {
    struct query query;
    unsigned interval_sec;
    unsigned refreshes; /* how often the user asked for everything anew */
    bool summary;       /* whether that is on the screen … */
    bool connections;   /* … and these */
};

bool query_equal(const struct query *a, const struct query *b);
bool wanted_equal(const struct wanted *a, const struct wanted *b);

enum link {
    LINK_UP,
    LINK_LOST,
};

struct message {
    char text[sizeof(struct reason)];
    bool is_failure;
    uint64_t until_usec; /* steady; 0 if there is none */
};

/** A change of the list of ports that the user asked for. */
struct change {
    enum change_kind {
        CHANGE_NONE,
        CHANGE_ADD,
        CHANGE_REMOVE,
    } kind;
    uint16_t port;
    char description[MAX_DESCRIPTION_BYTES + 1];
};

#define MAX_TUI_INTERVAL_SEC 60

/* Bars beyond these, ten years of days, would never be scrolled to. */
#define MAX_BARS 3660

struct model {
    /* what does not change; the strings are the caller's */
    const char *host;
    enum unit_system units;

    /* time */
    struct moment now;
    uint64_t phase_usec;   /* added to steady time, makes seconds begin as those of the wall do */
    uint64_t sampled_usec; /* steady, of the newest figures; 0 if there are none */
    uint64_t pause_usec;   /* between these and those before; 0 if that is not known */

    /* portmond */
    struct service_status status;
    const char *way; /* how it is reached; a literal */
    enum link link;
    uint64_t lost_usec; /* steady */
    struct reason lost_reason;

    /* ports */
    struct model_port **ports; /* by number */
    size_t n_ports;
    struct model_port **shown; /* those that the filter lets through, in the order of the list */
    size_t n_shown;
    bool has_ports; /* whether the list has arrived at all */
    uint16_t selected;
    uint16_t wanted_port; /* to be selected as soon as it is there; 0 if none */
    size_t selected_row;  /* where it was last seen in the list */
    size_t ports_top;     /* the first row on the screen */
    enum port_column sort;
    bool reversed;
    char filter[MAX_DESCRIPTION_BYTES + 1];
    enum role role;
    unsigned interval_sec;
    unsigned refreshes;

    /* the selected port */
    struct range_request range_request;
    struct range range;
    bool has_summary;
    struct query summary_of;
    struct summary summary;
    struct reason summary_reason; /* why there is none */
    struct bar *bars;             /* the newest first */
    size_t n_bars;
    size_t bars_top;
    uint16_t connections_of; /* 0 if they are not known */
    struct connection_list connections;
    struct reason connections_reason;
    size_t connections_top;
    struct graph_scale scales[_DIRECTION_MAX];
    uint64_t scaled_second; /* that the scales have followed to … */
    uint16_t scaled_port;   /* … for this port … */
    enum role scaled_role;  /* … in this role */

    /* the user */
    enum panel focus;
    bool help;
    size_t help_top;
    struct prompt prompt;
    struct message message;
    struct change change;
};

struct model_options {
    const char *host;
    uint16_t port; /* to select, or 0 */
    enum role role;
    enum unit_system units;
    unsigned interval_sec;
};

void model_init(struct model *model, const struct model_options *options, const struct moment *now);
void model_clear(struct model *model);

/* ---- what comes in; each returns effects ---- */

/** Lets time pass: days begin and end, messages go. */
unsigned model_tick(struct model *model, const struct moment *now);

/** Takes the strings of @status. */
unsigned model_take_status(struct model *model, struct service_status *status, const char *way);

/** The figures of all ports, as of @sampled_usec of the steady clock. */
unsigned model_take_stats(struct model *model, const struct port_stats *stats, size_t n,
                          uint64_t sampled_usec);

/** portmond went away. */
unsigned model_take_loss(struct model *model, const struct reason *reason);

/** Takes the rows and gaps of @summary. With @refused there is none. */
unsigned model_take_summary(struct model *model, const struct query *query, struct summary *summary,
                            const struct reason *refused);

/** Takes the connections, those of the role that is shown. With @refused there are none. */
unsigned model_take_connections(struct model *model, uint16_t port, struct connection_list *list,
                                const struct reason *refused);

/** A change succeeded, as @text says, or failed. */
unsigned model_take_result(struct model *model, bool is_failure, const char *text);

/** Shows a message for some time. */
unsigned model_say(struct model *model, bool is_failure, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- what the user does; each returns effects ---- */

unsigned model_select(struct model *model, uint16_t port);
unsigned model_step(struct model *model, int rows);
unsigned model_sort(struct model *model, enum port_column column);
unsigned model_set_filter(struct model *model, const char *filter);
unsigned model_set_range(struct model *model, const struct range_request *request);
unsigned model_set_role(struct model *model, enum role role);
unsigned model_set_interval(struct model *model, int interval_sec);
unsigned model_refresh(struct model *model);

/** Puts a panel into focus, or the one @steps after it. */
unsigned model_focus(struct model *model, enum panel panel);
unsigned model_focus_step(struct model *model, int steps);

/** Moves in the panel in focus: selects another port, or scrolls. */
unsigned model_move(struct model *model, int rows);
unsigned model_scroll(struct model *model, enum panel panel, int rows);

/* ---- what goes out ---- */

/** The selected port, or NULL. */
struct model_port *model_selected(const struct model *model);

/** What to fetch; whether the summary and the connections are on the screen is left alone. */
void model_wanted(const struct model *model, struct wanted *ret);

/** The newest second that a graph shows. */
uint64_t model_last_second(const struct model *model);

/** For how long nothing has come, beyond what is to be expected; 0 if all is well. */
uint64_t model_silence_usec(const struct model *model);

/** Whether the figures are those of before portmond went away or fell silent. */
bool model_is_stale(const struct model *model);

/** Whether the newest of the bars is not over yet. */
bool model_bar_is_unfinished(const struct model *model, const struct bar *bar);

/* ---- what the screen settles before it is drawn ---- */

/** Scrolls a panel's list so that all of @rows are used, and the selected port is seen. */
void model_settle(struct model *model, enum panel panel, size_t rows);

/** Lets the scales of the large graph follow what is on the screen: @seconds of it. */
void model_settle_scales(struct model *model, size_t seconds);

#endif
