/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_VIEW_H
#define PORTMON_VIEW_H

/* A view draws a part of the model into a region. Each is a table of functions, in its own file. */

#include "client/model.h"
#include "client/tui/surface.h"

struct view {
    /** Before drawing: fits what is scrolled or scaled to the region. May be NULL. */
    void (*settle)(struct model *model, const struct region *region);

    void (*draw)(const struct model *model, const struct region *region);

    /** A click at a place in the region; returns effects. May be NULL. */
    unsigned (*click)(struct model *model, const struct region *region, int row, int column);
};

extern const struct view view_header;
extern const struct view view_ports;
extern const struct view view_graph;
extern const struct view view_summary;
extern const struct view view_days;
extern const struct view view_connections;
extern const struct view view_help;
extern const struct view view_prompt; /* over the whole screen, at its last rows */

/** A row that says why a panel is empty. */
void view_say_empty(const struct region *region, int row, const char *text);

/** "3-9 of 12" at the right end of a panel's title, if not all of @n rows are seen. */
void view_show_place(const struct region *region, int after, size_t top, size_t rows, size_t n);

/** The name of the port and the panel's, for a title: "5000, last 7 days". */
void view_name_port(const struct model *model, char *buffer, size_t size, const char *name);

#endif
