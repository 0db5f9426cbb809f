/* SPDX-License-Identifier: MIT */
/* org.freedesktop.LogControl1, for `systemctl service-log-level` and `service-log-target`. */
#include "daemon/bus-internal.h"
#include "shared/log.h"

#include <errno.h>
#include <string.h>

/* Without SD_BUS_VTABLE_UNPRIVILEGED sd-bus itself lets only root and our own user set these. */

static int get_level(sd_bus *connection, const char *path, const char *interface,
                     const char *property, sd_bus_message *reply, void *userdata,
                     sd_bus_error *error)
{
    return sd_bus_message_append(reply, "s", log_level_to_string(log_level()));
}

static int set_level(sd_bus *connection, const char *path, const char *interface,
                     const char *property, sd_bus_message *value, void *userdata,
                     sd_bus_error *error)
{
    const char *name;
    int r = sd_bus_message_read(value, "s", &name);

    if (r < 0)
        return r;
    r = log_level_from_string(name);
    if (r < 0)
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "'%s' is not a log level", name);
    log_set_level(r);
    log_info("Logging at level %s now", name);
    return 0;
}

static int get_target(sd_bus *connection, const char *path, const char *interface,
                      const char *property, sd_bus_message *reply, void *userdata,
                      sd_bus_error *error)
{
    return sd_bus_message_append(reply, "s", log_to_journal() ? "journal" : "console");
}

static int set_target(sd_bus *connection, const char *path, const char *interface,
                      const char *property, sd_bus_message *value, void *userdata,
                      sd_bus_error *error)
{
    const char *name;
    int r = sd_bus_message_read(value, "s", &name);

    if (r < 0)
        return r;
    if (strcmp(name, "journal") != 0 && strcmp(name, "console") != 0)
        return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
                                 "'%s' is neither \"journal\" nor \"console\"", name);
    log_set_to_journal(*name == 'j');
    return 0;
}

static int get_identifier(sd_bus *connection, const char *path, const char *interface,
                          const char *property, sd_bus_message *reply, void *userdata,
                          sd_bus_error *error)
{
    return sd_bus_message_append(reply, "s", program_invocation_short_name);
}

static const sd_bus_vtable log_control_vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get_level, set_level, 0, 0),
    SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", get_target, set_target, 0, 0),
    SD_BUS_PROPERTY("SyslogIdentifier", "s", get_identifier, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_VTABLE_END,
};

int bus_publish_log_control(struct bus *bus, sd_bus *connection)
{
    return sd_bus_add_object_vtable(connection, NULL, "/org/freedesktop/LogControl1",
                                    "org.freedesktop.LogControl1", log_control_vtable, bus);
}
