/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_FORMAT_H
#define PORTMON_FORMAT_H

/* How figures are written for people, and times for machines. Each fills a buffer and returns it.
 */

#include <stdbool.h>
#include <stdint.h>

/** What a byte count is divided by: 1024 (KiB, MiB, …) or 1000 (kB, MB, …). */
enum unit_system {
    UNITS_IEC,
    UNITS_SI,
};

/** Enough for each of the functions below. */
#define FORMAT_SIZE 48

/** "0 B", "1023 B", "1.50 KiB", "123.46 GiB": at most two decimals, never "1024.00 KiB". */
const char *format_bytes(char buffer[static FORMAT_SIZE], uint64_t bytes, enum unit_system units);

/** As format_bytes(), with "/s". */
const char *format_rate(char buffer[static FORMAT_SIZE], uint64_t bytes_per_sec,
                        enum unit_system units);

/** The two largest units: "3d 4h", "12min 5s", "0s". */
const char *format_duration(char buffer[static FORMAT_SIZE], uint64_t usec);

/** RFC 3339 in local time with its offset, "2026-11-23T17:08:00+01:00", or in UTC with "Z". */
const char *format_timestamp(char buffer[static FORMAT_SIZE], uint64_t usec, bool utc);

#endif
