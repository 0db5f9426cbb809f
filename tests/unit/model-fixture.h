/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_MODEL_FIXTURE_H
#define PORTMON_MODEL_FIXTURE_H

/* A dashboard on a Monday in November, and what it is told. */

#include "client/model.h"
#include "shared/time-util.h"
#include "test.h"
#include "unit/util.h"

/* 2026-11-23 17:08:05 in Berlin */
#define NOW   (UINT64_C(1795450085) * USEC_PER_SEC)
#define START (UINT64_C(5000) * USEC_PER_SEC)

static inline void begin(struct model *model, uint16_t port)
{
    const struct model_options options = {.host = "here", .port = port, .interval_sec = 1};
    const struct moment now = {NOW, START};

    use_zone(ZONE_BERLIN);
    model_init(model, &options, &now);
}

static inline unsigned pass(struct model *model, uint64_t sec)
{
    const struct moment now = {model->now.wall_usec + sec * USEC_PER_SEC,
                               model->now.steady_usec + sec * USEC_PER_SEC};

    return model_tick(model, &now);
}

/** Figures to be told of a port. */
struct told {
    uint16_t port;
    const char *description;
    uint64_t rx_bytes;
    uint64_t tx_bytes;
    uint64_t connections;
};

static inline unsigned tell(struct model *model, const struct told *told, size_t n)
{
    struct port_stats stats[16] = {};

    for (size_t i = 0; i < n; i++) {
        stats[i].port = told[i].port;
        stats[i].description = (char *) (told[i].description ?: "");
        stats[i].role[ROLE_SERVER] = (struct role_figures){
            .rx_bytes = told[i].rx_bytes,
            .tx_bytes = told[i].tx_bytes,
            .today_rx_bytes = told[i].rx_bytes,
            .today_tx_bytes = told[i].tx_bytes,
            .connections = told[i].connections,
        };
    }
    return model_take_stats(model, stats, n, model->now.steady_usec);
}

static const struct told three[] = {
    {80, "Web", 100, 10, 3},
    {443, "web, encrypted", 300, 30, 1},
    {5000, "Büro", 200, 900, 2},
};

/** The numbers of the ports of the list, as text. */
static inline const char *listed(const struct model *model)
{
    static char text[256];
    size_t n = 0;

    *text = '\0';
    for (size_t i = 0; i < model->n_shown; i++)
        n += (size_t) snprintf(text + n, sizeof(text) - n, "%s%u", i ? " " : "",
                               model->shown[i]->port);
    return text;
}

#endif
