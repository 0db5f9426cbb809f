/* SPDX-License-Identifier: MIT */
/* The first line: whose figures these are, whether they are of now, and the time. */
#include "client/text.h"
#include "client/tui/view.h"
#include "shared/time-util.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

/** Part of the line, which is left out if there is no room for it. */
struct segment {
    enum style style;
    char text[256];
};

#define MAX_SEGMENTS 8

struct segments {
    struct segment items[MAX_SEGMENTS];
    size_t n;
};

__attribute__((format(printf, 3, 4))) static void add(struct segments *segments, enum style style,
                                                      const char *format, ...)
{
    struct segment *segment = &segments->items[segments->n++];
    va_list arguments;

    segment->style = style;
    va_start(arguments, format);
    vsnprintf(segment->text, sizeof(segment->text), format, arguments);
    va_end(arguments);
}

static void add_losses(struct segments *segments, const struct service_status *status)
{
    for (size_t i = 0; i < N_LOSSES && segments->n < MAX_SEGMENTS; i++)
        if (status->losses[i].count)
            add(segments, STYLE_WARNING, "%s %" PRIu64, status->losses[i].name,
                status->losses[i].count);
}

/** The most important ones first. */
static void collect(const struct model *model, struct segments *segments)
{
    const struct service_status *status = &model->status;
    uint64_t now = model->now.wall_usec, silence = model_silence_usec(model);
    char text[FORMAT_SIZE];

    add(segments, STYLE_STRONG, "%s", model->host);
    if (model->link == LINK_LOST) {
        add(segments, STYLE_ALARM, "lost %s ago, trying again: %s",
            format_duration(text, model->now.steady_usec - model->lost_usec),
            model->lost_reason.text);
        return;
    }
    if (silence)
        add(segments, STYLE_ALARM, "no answer for %s", format_duration(text, silence));
    if (model->role == ROLE_CLIENT)
        add(segments, STYLE_WARNING, "as client");
    if (status->start_usec)
        add(segments, STYLE_DIM, "up %s",
            format_duration(text, now > status->start_usec ? now - status->start_usec : 0));
    if (status->version)
        add(segments, STYLE_DIM, "portmond %s", status->version);
    add_losses(segments, status);
    if (segments->n < MAX_SEGMENTS)
        add(segments, STYLE_DIM, "%s", model->way);
}

static void draw(const struct model *model, const struct region *region)
{
    time_t sec = (time_t) (model->now.wall_usec / USEC_PER_SEC);
    struct segments segments = {};
    char clock[FORMAT_SIZE];
    int column = 1, end;
    struct tm tm;

    localtime_r(&sec, &tm);
    strftime(clock, sizeof(clock), region->columns < 60 ? "%T" : "%F %T", &tm);
    end = region->columns - (int) text_width(clock) - 1;
    region_put(region, 0, end, STYLE_NORMAL, clock);

    collect(model, &segments);
    for (size_t i = 0; i < segments.n; i++) {
        const struct segment *segment = &segments.items[i];
        int width = (int) text_width(segment->text), room = end - 2 - column;

        /* What is wrong is worth being cut. */
        if (width > room && segment->style != STYLE_ALARM)
            continue;
        region_fit(region, 0, column, width < room ? width : room, segment->style, segment->text);
        column += width + 2;
    }
}

const struct view view_header = {.draw = draw};
