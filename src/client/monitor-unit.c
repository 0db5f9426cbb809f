/* SPDX-License-Identifier: MIT */
#include "client/monitor-unit.h"

#include "shared/cleanup.h"

#include <errno.h>
#include <systemd/sd-bus.h>

#define UNIT_NAME "portmond.service"
#define SYSTEMD   "org.freedesktop.systemd1"

static int read_property(sd_bus *bus, const char *path, const char *name, char *buffer, size_t size,
                         sd_bus_error *error)
{
    _cleanup_free_ char *value = NULL;
    int r;

    r = sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD ".Unit", name, error, &value);
    if (r >= 0)
        snprintf(buffer, size, "%s", value);
    return r;
}

int monitor_unit_look(const char *host, struct unit_state *ret, struct reason *reason)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_free_ char *path = NULL;
    struct unit_state state;
    int r;

    r = host ? sd_bus_open_system_remote(&bus, host) : sd_bus_open_system(&bus);
    if (r < 0)
        return -ENOTCONN;
    /* The object of a unit is there whether or not it is loaded. */
    if ((r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", UNIT_NAME, &path)) < 0)
        return r;
    if ((r = read_property(bus, path, "LoadState", state.load, sizeof(state.load), &error)) < 0 ||
        (r = read_property(bus, path, "ActiveState", state.active, sizeof(state.active), &error)) <
            0 ||
        (r = read_property(bus, path, "UnitFileState", state.file, sizeof(state.file), &error)) < 0)
        return fail(reason,
                    sd_bus_error_has_names(&error, SD_BUS_ERROR_SERVICE_UNKNOWN,
                                           SD_BUS_ERROR_NAME_HAS_NO_OWNER)
                        ? -ENOENT
                        : r,
                    "Cannot ask systemd about " UNIT_NAME ": %s",
                    error.message ?: strerrordesc_np(-r));
    *ret = state;
    return 0;
}
