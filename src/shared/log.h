/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_LOG_H
#define PORTMON_LOG_H

/*
 * The daemon's log. Under systemd lines go to the journal with their fields; elsewhere they are
 * readable lines on standard error.
 */

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>
#include <systemd/sd-id128.h>

/* What happened, for `journalctl MESSAGE_ID=…` and the message catalogue. */
#define MESSAGE_START SD_ID128_MAKE(5b, 0d, 3f, 7c, 9e, 2a, 4c, 51, 8a, 6e, 41, d0, 77, 3c, b9, 02)
#define MESSAGE_STOP  SD_ID128_MAKE(b1, 7e, 94, 2d, 60, c8, 4f, 3a, 95, 1d, ee, 27, 08, f4, 6a, 93)
#define MESSAGE_PORT_ADDED \
    SD_ID128_MAKE(2f, c6, 58, 0e, d3, 91, 4b, 7e, a2, 44, 9c, 15, bb, 60, 7d, 38)
#define MESSAGE_PORT_REMOVED \
    SD_ID128_MAKE(e9, 04, a7, 1b, 35, fd, 4d, 62, b8, 0c, 72, 9e, 46, d1, 5f, a4)
#define MESSAGE_LEDGER_FAILURE \
    SD_ID128_MAKE(7d, 33, c1, f8, 0a, 54, 41, 97, 86, eb, a9, 62, 1f, de, 04, b5)
#define MESSAGE_GAP SD_ID128_MAKE(c4, 8a, 26, 5f, b0, 7e, 45, 1d, 93, f2, 68, 3d, a1, 0b, 97, e6)

/** Fields of a line. Zero members are left out. */
struct log_fields {
    sd_id128_t message_id;
    uint16_t port; /* PORTMON_PORT */
};

/** Chooses the journal if standard error is connected to it. Call it once, first. */
void log_open(void);

/** Whether lines go to the journal rather than to standard error. */
bool log_to_journal(void);
void log_set_to_journal(bool to_journal);

/** Lines with a priority above @level (LOG_ERR … LOG_DEBUG) are dropped. */
void log_set_level(int level);
int log_level(void);

/** Takes our names (debug, info, warn, error) and syslog's, emerg to debug. Returns LOG_* or
 * -EINVAL. */
int log_level_from_string(const char *name);

/** LOG_* by syslog's names. */
const char *log_level_to_string(int level);

/** Writes a line. errno stays as it was. */
void log_write(int level, const struct log_fields *fields, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(...)   log_write(LOG_DEBUG, NULL, __VA_ARGS__)
#define log_info(...)    log_write(LOG_INFO, NULL, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_NOTICE, NULL, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, NULL, __VA_ARGS__)
#define log_error(...)   log_write(LOG_ERR, NULL, __VA_ARGS__)

/** A line about an event that has a MESSAGE_ID. */
#define log_event(level, id, ...) \
    log_write((level), &(struct log_fields){.message_id = (id)}, __VA_ARGS__)

/** As log_event(), about one port. */
#define log_port_event(level, id, port_number, ...) \
    log_write((level), &(struct log_fields){.message_id = (id), .port = (port_number)}, __VA_ARGS__)

#endif
