/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_CONFIG_H
#define PORTMON_CONFIG_H

#include "shared/cleanup.h"
#include "shared/reason.h"

#include <stddef.h>
#include <stdint.h>

/** A port to watch. */
struct config_port {
    uint16_t port;
    char *description; /* "" if none */
};

/** What portmond is told by its configuration file and its command line. */
struct config {
    struct config_port *ports;
    size_t n_ports;
    char *data_directory;
    char *socket_path;
    unsigned retention_days;
    int log_level; /* LOG_ERR … LOG_DEBUG */
};

/** A configuration with the default of every setting, or NULL. */
struct config *config_new(void);
struct config *config_free(struct config *config);
DEFINE_CLEANUP(struct config, config_free)

/** Adds a port. Returns 1, 0 if it is there already (then nothing changes), or -ENOMEM. */
int config_add_port(struct config *config, uint16_t port, const char *description);

/** Replaces a string setting. */
int config_set_string(char **setting, const char *value);

#endif
