/* SPDX-License-Identifier: MIT */
#include "daemon/config.h"

#include "shared/bus-names.h"

#include <errno.h>
#include <string.h>
#include <syslog.h>

struct config *config_new(void)
{
    _cleanup_(config_freep) struct config *config = calloc(1, sizeof(*config));

    if (!config)
        return NULL;
    config->data_directory = strdup(DEFAULT_DATA_DIRECTORY);
    config->socket_path = strdup(DEFAULT_SOCKET_PATH);
    config->retention_days = DEFAULT_RETENTION_DAYS;
    config->log_level = LOG_INFO;
    return config->data_directory && config->socket_path ? TAKE_PTR(config) : NULL;
}

struct config *config_free(struct config *config)
{
    if (!config)
        return NULL;
    config_clear_ports(config);
    free(config->ports);
    free(config->data_directory);
    free(config->socket_path);
    free(config);
    return NULL;
}

int config_add_port(struct config *config, uint16_t port, const char *description, int cycle_day)
{
    uint64_t bit = UINT64_C(1) << port % 64, *word = &config->has_port[port / 64];
    _cleanup_free_ char *copy = NULL;
    struct config_port *ports;
    size_t size;

    if (*word & bit)
        return 0;
    if (config->n_ports == config->size_ports) {
        size = config->size_ports * 2 ?: 16;
        ports = reallocarray(config->ports, size, sizeof(*ports));
        if (!ports)
            return -ENOMEM;
        config->ports = ports;
        config->size_ports = size;
    }
    copy = strdup(description);
    if (!copy)
        return -ENOMEM;
    config->ports[config->n_ports++] = (struct config_port){
        .port = port,
        .description = TAKE_PTR(copy),
        .cycle_day = cycle_day,
    };
    *word |= bit;
    return 1;
}

void config_clear_ports(struct config *config)
{
    for (size_t i = 0; i < config->n_ports; i++)
        free(config->ports[i].description);
    config->n_ports = 0;
    memset(config->has_port, 0, sizeof(config->has_port));
}

bool config_has_port(const struct config *config, uint16_t port)
{
    return config->has_port[port / 64] >> port % 64 & 1;
}

int config_set_string(char **setting, const char *value)
{
    char *copy = strdup(value);

    if (!copy)
        return -ENOMEM;
    free(*setting);
    *setting = copy;
    return 0;
}
