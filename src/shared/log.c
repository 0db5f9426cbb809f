/* SPDX-License-Identifier: MIT */
/* The code's own file, line and function are of no use to whoever reads the journal. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "shared/log.h"

#include "shared/cleanup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <time.h>

static struct {
    bool to_journal;
    bool has_stream; /* standard error is connected to the journal */
    int level;
} log_state = {.level = LOG_INFO};

static const char *const level_names[] = {
    [LOG_EMERG] = "emerg",     [LOG_ALERT] = "alert",   [LOG_CRIT] = "crit", [LOG_ERR] = "err",
    [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice", [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
};

/** Whether standard error is the journal's stream, as JOURNAL_STREAM=device:inode tells. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
           fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

void log_open(void)
{
    log_state.to_journal = log_state.has_stream = stderr_is_journal();
}

void log_set_level(int level)
{
    log_state.level = level;
}

int log_level(void)
{
    return log_state.level;
}

bool log_to_journal(void)
{
    return log_state.to_journal;
}

void log_set_to_journal(bool to_journal)
{
    log_state.to_journal = to_journal;
}

int log_level_from_string(const char *name)
{
    for (int level = 0; level < (int) ELEMENTSOF(level_names); level++)
        if (strcmp(level_names[level], name) == 0)
            return level;
    if (strcmp(name, "warn") == 0)
        return LOG_WARNING;
    return strcmp(name, "error") == 0 ? LOG_ERR : -EINVAL;
}

const char *log_level_to_string(int level)
{
    return level_names[level];
}

static void write_journal(int level, const struct log_fields *fields, const char *message)
{
    char text[1100], priority[16], id[64], port[24];
    struct iovec iov[4];
    int n = 0;

    snprintf(text, sizeof(text), "MESSAGE=%s", message);
    iov[n++] = (struct iovec){text, strlen(text)};
    snprintf(priority, sizeof(priority), "PRIORITY=%d", level);
    iov[n++] = (struct iovec){priority, strlen(priority)};
    if (fields && fields->message_id) {
        snprintf(id, sizeof(id), "MESSAGE_ID=%s", fields->message_id);
        iov[n++] = (struct iovec){id, strlen(id)};
    }
    if (fields && fields->port) {
        snprintf(port, sizeof(port), "PORTMON_PORT=%u", fields->port);
        iov[n++] = (struct iovec){port, strlen(port)};
    }
    sd_journal_sendv(iov, n);
}

/**
 * Journald asks who sent a message when it reads it, and by then the sender may be gone. Of a
 * stream it knows the unit from its beginning. So what may be our last words goes there.
 */
static void write_journal_stream(int level, const char *message)
{
    fprintf(stderr, "<%d>%s\n", level, message);
}

static void write_stderr(int level, const char *message)
{
    time_t now = time(NULL);
    char stamp[32] = "";
    struct tm tm;

    if (localtime_r(&now, &tm))
        strftime(stamp, sizeof(stamp), "%F %T", &tm);
    fprintf(stderr, "%s portmond[%d] %s: %s\n", stamp, (int) getpid(), log_level_to_string(level),
            message);
}

void log_write(int level, const struct log_fields *fields, const char *format, ...)
{
    int saved = errno;
    va_list arguments;
    char message[1024];

    if (level > log_state.level)
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (!log_state.to_journal)
        write_stderr(level, message);
    else if (log_state.has_stream && level <= LOG_ERR && !fields)
        write_journal_stream(level, message);
    else
        write_journal(level, fields, message);
    errno = saved;
}
