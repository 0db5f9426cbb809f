/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_CONFIG_H
#define PORTMON_CONFIG_H

#include "shared/cleanup.h"
#include "shared/collector-kind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A port to watch. */
struct config_port {
    uint16_t port;
    char *description; /* "" if none */
    int cycle_day;     /* day of the month on which its billing cycle begins, or 0 */
};

/** What portmond is told by its configuration file and its command line. */
struct config {
    struct config_port *ports;
    size_t n_ports;
    size_t size_ports;
    uint64_t has_port[65536 / 64]; /* a bit for each */
    char *data_directory;
    char *socket_path;
    unsigned retention_days;
    enum collector_kind collector;
    int log_level; /* LOG_ERR … LOG_DEBUG */
};

/** A configuration with the default of every setting, or NULL. */
struct config *config_new(void);
struct config *config_free(struct config *config);
DEFINE_CLEANUP(struct config, config_free)

/**
 * Takes something that is wrong with a file, at LOG_ERR or LOG_WARNING: "FILE:LINE:COLUMN: …", in
 * one line without its end.
 */
typedef void (*config_report)(void *userdata, int level, const char *text);

/**
 * Reads a file into @config, over what is there. Everything that is wrong is reported, and then
 * -EINVAL is returned and @config is of no use. Other errors are reported too: -ENOENT if there is
 * no such file, -EACCES if it may not be read.
 */
int config_load(struct config *config, const char *path, config_report report, void *userdata);

/** As config_load(), of @size bytes at @text; @name is that of the file in reports. */
int config_parse(struct config *config, const char *name, const void *text, size_t size,
                 config_report report, void *userdata);

/**
 * Adds a port. Returns 1, 0 if it is there already (then nothing changes), or -ENOMEM.
 */
int config_add_port(struct config *config, uint16_t port, const char *description, int cycle_day);

bool config_has_port(const struct config *config, uint16_t port);

/** Forgets all ports. */
void config_clear_ports(struct config *config);

/** Replaces a string setting. Returns 0 or -ENOMEM. */
int config_set_string(char **setting, const char *value);

#endif
