/* SPDX-License-Identifier: MIT */
/* The open connections of the selected port, the busiest first. */
#include "client/text.h"
#include "client/tui/columns.h"
#include "client/tui/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum connection_column {
    COLUMN_REMOTE,
    COLUMN_LOCAL,
    COLUMN_STATE,
    COLUMN_RX,
    COLUMN_TX,
    COLUMN_RECEIVED,
    COLUMN_SENT,
    COLUMN_RTT,
    COLUMN_RETRANSMISSIONS,
    COLUMN_SINCE,
    COLUMN_PROCESS,
    N_CONNECTION_COLUMNS,
};

static const struct list_column columns[N_CONNECTION_COLUMNS] = {
    [COLUMN_REMOTE] = {"REMOTE", ALIGN_LEFT, 15, 15, 0},
    [COLUMN_LOCAL] = {"LOCAL", ALIGN_LEFT, 15, 15, 8},
    [COLUMN_STATE] = {"STATE", ALIGN_LEFT, 11, 11, 9},
    [COLUMN_RX] = {"RX RATE", ALIGN_RIGHT, 13, 13, 1},
    [COLUMN_TX] = {"TX RATE", ALIGN_RIGHT, 13, 13, 2},
    [COLUMN_RECEIVED] = {"RECEIVED", ALIGN_RIGHT, 11, 11, 3},
    [COLUMN_SENT] = {"SENT", ALIGN_RIGHT, 11, 11, 4},
    [COLUMN_RTT] = {"RTT", ALIGN_RIGHT, 8, 8, 7},
    [COLUMN_RETRANSMISSIONS] = {"RETR", ALIGN_RIGHT, 5, 5, 10},
    [COLUMN_SINCE] = {"SINCE", ALIGN_RIGHT, 9, 9, 5},
    [COLUMN_PROCESS] = {"PROCESS", ALIGN_LEFT, 8, 8, 6},
};

#define IPV4_WIDTH 21 /* "255.255.255.255:65535" */
#define TEXT_SIZE  80

/** "192.0.2.1:80" or "[2001:db8::1]:80" */
static void endpoint(char text[static TEXT_SIZE], const char *address, uint16_t port)
{
    bool brackets = strchr(address, ':');

    snprintf(text, TEXT_SIZE, "%s%s%s:%u", brackets ? "[" : "", address, brackets ? "]" : "", port);
}

static enum style write_rate(const struct model *model, uint64_t rate, enum style style,
                             char text[static TEXT_SIZE])
{
    char figure[FORMAT_SIZE];

    snprintf(text, TEXT_SIZE, "%s",
             model_is_stale(model) ? "-" : format_rate(figure, rate, model->units));
    return model_is_stale(model) || !rate ? STYLE_DIM : style;
}

static enum style write_cell(const struct model *model, const struct connection *c,
                             enum connection_column column, char text[static TEXT_SIZE])
{
    char figure[FORMAT_SIZE];

    switch (column) {
    case COLUMN_REMOTE:
        endpoint(text, c->remote_address, c->remote_port);
        return STYLE_NORMAL;
    case COLUMN_LOCAL:
        endpoint(text, c->local_address, c->local_port);
        return STYLE_DIM;
    case COLUMN_STATE:
        snprintf(text, TEXT_SIZE, "%s", c->state);
        return STYLE_DIM;
    case COLUMN_RX:
        return write_rate(model, c->rx_rate, STYLE_RX, text);
    case COLUMN_TX:
        return write_rate(model, c->tx_rate, STYLE_TX, text);
    case COLUMN_RECEIVED:
        snprintf(text, TEXT_SIZE, "%s", format_bytes(figure, c->rx_bytes, model->units));
        return c->rx_bytes ? STYLE_NORMAL : STYLE_DIM;
    case COLUMN_SENT:
        snprintf(text, TEXT_SIZE, "%s", format_bytes(figure, c->tx_bytes, model->units));
        return c->tx_bytes ? STYLE_NORMAL : STYLE_DIM;
    case COLUMN_RTT:
        snprintf(text, TEXT_SIZE, "%.1fms", (double) c->rtt_usec / 1000);
        return STYLE_NORMAL;
    case COLUMN_RETRANSMISSIONS:
        snprintf(text, TEXT_SIZE, "%" PRIu64, c->retransmissions);
        return c->retransmissions ? STYLE_WARNING : STYLE_DIM;
    case COLUMN_SINCE:
        snprintf(text, TEXT_SIZE, "%s%s", c->adopted ? ">" : "",
                 format_duration(figure, c->duration_usec));
        return STYLE_NORMAL;
    default:
        if (c->pid)
            snprintf(text, TEXT_SIZE, "%s/%" PRIu32, c->process, c->pid);
        else
            snprintf(text, TEXT_SIZE, "-");
        return STYLE_NORMAL;
    }
}

static void draw_cell(const struct region *region, const struct placement *placement, int column,
                      int row, enum style style, const char *text)
{
    int at = 1 + placement->at[column], width = placement->width[column];

    if (!width)
        return;
    if (columns[column].alignment == ALIGN_RIGHT)
        region_fit_right(region, row, at, width, style, text);
    else
        region_fit(region, row, at, width, style, text);
}

/** Columns of text are as wide as what is seen of them: half of an address tells nothing. */
static void fit_columns(const struct model *model, size_t rows, int width,
                        struct list_column fitted[static N_CONNECTION_COLUMNS])
{
    const struct connection_list *list = &model->connections;
    /* The remote address comes first, but some figures must be seen beside it. */
    int widest = width / 2 > IPV4_WIDTH ? width / 2 : IPV4_WIDTH;
    char text[TEXT_SIZE];

    memcpy(fitted, columns, sizeof(columns));
    for (size_t row = 0; row < rows && model->connections_top + row < list->n; row++)
        for (int i = 0; i < N_CONNECTION_COLUMNS; i++) {
            const struct connection *c = &list->connections[model->connections_top + row];
            int needed;

            if (columns[i].alignment != ALIGN_LEFT)
                continue;
            write_cell(model, c, (enum connection_column) i, text);
            needed = (int) text_width(text);
            if (i == COLUMN_REMOTE && needed > widest)
                needed = widest;
            if (needed > fitted[i].min)
                fitted[i].min = fitted[i].max = needed;
        }
}

static void draw_list(const struct model *model, const struct region *region, size_t rows)
{
    const struct connection_list *list = &model->connections;
    struct list_column fitted[N_CONNECTION_COLUMNS];
    struct placement placement;
    char text[TEXT_SIZE];

    fit_columns(model, rows, region->columns - 1, fitted);
    columns_place(fitted, N_CONNECTION_COLUMNS, region->columns - 1, &placement);
    for (int i = 0; i < N_CONNECTION_COLUMNS; i++)
        draw_cell(region, &placement, i, 1, STYLE_HEADING, columns[i].title);
    for (size_t row = 0; row < rows && model->connections_top + row < list->n; row++)
        for (int i = 0; i < N_CONNECTION_COLUMNS; i++) {
            const struct connection *c = &list->connections[model->connections_top + row];
            enum style style = write_cell(model, c, (enum connection_column) i, text);

            draw_cell(region, &placement, i, (int) row + 2, style, text);
        }
}

static void settle(struct model *model, const struct region *region)
{
    model_settle(model, PANEL_CONNECTIONS, (size_t) region->rows - 2);
}

static void draw(const struct model *model, const struct region *region)
{
    size_t rows = (size_t) region->rows - 2, n = model->connections.n;
    bool known = model->connections_of && !*model->connections_reason.text;
    char title[96], text[64];
    int after;

    if (known)
        snprintf(text, sizeof(text), "%zu connection%s", n, n == 1 ? "" : "s");
    view_name_port(model, title, sizeof(title), known ? text : "connections");
    after = region_title(region, model->focus == PANEL_CONNECTIONS, title);
    view_show_place(region, after, model->connections_top, rows, n);
    if (*model->connections_reason.text)
        region_wrap(region, 1, 1, region->columns - 2, region->rows - 1, STYLE_WARNING,
                    model->connections_reason.text);
    else if (known && n)
        draw_list(model, region, rows);
    else if (known)
        view_say_empty(region, 1, "None is open");
}

const struct view view_connections = {.settle = settle, .draw = draw};
