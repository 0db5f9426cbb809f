/* SPDX-License-Identifier: MIT */
/* The configuration file: it is understood, or what is wrong with it is said in lines. */
#include "daemon/config.h"
#include "fuzz.h"
#include "shared/bus-names.h"
#include "shared/log.h"
#include "shared/parse.h"

#include <errno.h>

static void report(void *userdata, int level, const char *text)
{
    unsigned *n_errors = userdata;

    MUST_BE(*text && is_one_line(text));
    *n_errors += level <= LOG_ERR;
}

static void check(const struct config *config)
{
    MUST_BE(config->retention_days >= 1 && config->retention_days <= 365);
    MUST_BE(config->log_level >= LOG_ERR && config->log_level <= LOG_DEBUG);
    MUST_BE(*config->data_directory == '/' && *config->socket_path == '/');
    for (size_t i = 0; i < config->n_ports; i++) {
        const struct config_port *port = &config->ports[i];

        MUST_BE(port->port != 0 && config_has_port(config, port->port));
        MUST_BE(port->cycle_day >= 0 && port->cycle_day <= 31);
        MUST_BE(strlen(port->description) <= MAX_DESCRIPTION_BYTES);
        MUST_BE(is_one_line(port->description));
        for (size_t k = 0; k < i && i < 100; k++)
            MUST_BE(config->ports[k].port != port->port);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(config_freep) struct config *config = config_new();
    unsigned n_errors = 0;
    int r;

    MUST_BE(config);
    r = config_parse(config, "fuzz", data, size, report, &n_errors);
    MUST_BE((r < 0) == (n_errors > 0));
    if (r >= 0)
        check(config);
    return 0;
}
