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
    for (size_t i = 0; i < config->n_ports; i++)
        free(config->ports[i].description);
    free(config->ports);
    free(config->data_directory);
    free(config->socket_path);
    free(config);
    return NULL;
}

int config_add_port(struct config *config, uint16_t port, const char *description)
{
    _cleanup_free_ char *copy = NULL;
    struct config_port *ports;

    for (size_t i = 0; i < config->n_ports; i++)
        if (config->ports[i].port == port)
            return 0;
    copy = strdup(description);
    ports = reallocarray(config->ports, config->n_ports + 1, sizeof(*ports));
    if (ports)
        config->ports = ports;
    if (!copy || !ports)
        return -ENOMEM;
    ports[config->n_ports++] = (struct config_port){port, TAKE_PTR(copy)};
    return 1;
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
