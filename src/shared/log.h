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

/* What happened, for `journalctl MESSAGE_ID=…`; units/portmon.catalog explains each. */
#define MESSAGE_START          "5656c8f4fa9a4c9f8657d931dfaec7a4"
#define MESSAGE_STOP           "eb6af31a38d74c0b894b455a30c8c7a3"
#define MESSAGE_PORT_ADDED     "bb39571010b64cd2967bc2fe4b63e9a2"
#define MESSAGE_PORT_REMOVED   "4955b729214047a2b707507c1e0a138e"
#define MESSAGE_LEDGER_FAILURE "8e76031cfea5483db9b6df76c6e51a14"
#define MESSAGE_GAP            "45f2ea5e5e3548039a56399b910e8168"

/** Fields of a line. Zero members are left out. */
struct log_fields {
    const char *message_id; /* MESSAGE_* */
    uint16_t port;          /* PORTMON_PORT */
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
