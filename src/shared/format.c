/* SPDX-License-Identifier: MIT */
#include "shared/format.h"

#include "shared/cleanup.h"
#include "shared/time-util.h"

#include <inttypes.h>
#include <stdio.h>

static const char *format_amount(char *buffer, uint64_t bytes, enum unit_system units,
                                 const char *suffix)
{
    static const char *const names[][7] = {
        [UNITS_IEC] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"},
        [UNITS_SI] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"},
    };
    unsigned base = units == UNITS_SI ? 1000 : 1024;
    double value = (double) bytes;
    unsigned unit = 0;

    /* What two decimals would round up to the base belongs to the next unit. */
    while (value >= (double) base - (unit ? 0.005 : 0) && unit + 1 < ELEMENTSOF(names[0])) {
        value /= base;
        unit++;
    }
    snprintf(buffer, FORMAT_SIZE, "%.*f %s%s", unit ? 2 : 0, value, names[units][unit], suffix);
    return buffer;
}

const char *format_bytes(char buffer[static FORMAT_SIZE], uint64_t bytes, enum unit_system units)
{
    return format_amount(buffer, bytes, units, "");
}

const char *format_rate(char buffer[static FORMAT_SIZE], uint64_t bytes_per_sec,
                        enum unit_system units)
{
    return format_amount(buffer, bytes_per_sec, units, "/s");
}

const char *format_duration(char buffer[static FORMAT_SIZE], uint64_t usec)
{
    static const struct {
        const char *name;
        uint64_t sec;
    } units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
    uint64_t sec = usec / USEC_PER_SEC;
    size_t i = 0;

    while (i + 1 < ELEMENTSOF(units) && sec < units[i].sec)
        i++;
    if (i + 1 < ELEMENTSOF(units))
        snprintf(buffer, FORMAT_SIZE, "%" PRIu64 "%s %" PRIu64 "%s", sec / units[i].sec,
                 units[i].name, sec % units[i].sec / units[i + 1].sec, units[i + 1].name);
    else
        snprintf(buffer, FORMAT_SIZE, "%" PRIu64 "s", sec);
    return buffer;
}

const char *format_timestamp(char buffer[static FORMAT_SIZE], uint64_t usec, bool utc)
{
    time_t sec = (time_t) (usec / USEC_PER_SEC);
    struct tm tm = {};
    char zone[8];
    size_t n;

    if (utc) {
        gmtime_r(&sec, &tm);
        strftime(buffer, FORMAT_SIZE, "%FT%TZ", &tm);
        return buffer;
    }
    localtime_r(&sec, &tm);
    n = strftime(buffer, FORMAT_SIZE, "%FT%T", &tm);
    strftime(zone, sizeof(zone), "%z", &tm); /* +hhmm; RFC 3339 wants +hh:mm */
    snprintf(buffer + n, FORMAT_SIZE - n, "%.3s:%.2s", zone, zone + 3);
    return buffer;
}
