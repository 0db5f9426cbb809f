/* SPDX-License-Identifier: MIT */
#include "shared/checklist.h"

#include "shared/format.h"
#include "shared/time-util.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/timex.h>

static const struct {
    const char *word;
    const char *color;
} verdicts[] = {
    [VERDICT_OK] = {"ok", "\033[32m"},
    [VERDICT_NOTE] = {"note", "\033[33m"},
    [VERDICT_BAD] = {"bad", "\033[1;31m"},
};

const char *verdict_to_string(enum verdict verdict)
{
    return verdicts[verdict].word;
}

void find(struct finding *finding, enum verdict verdict, const char *format, ...)
{
    va_list arguments;

    finding->verdict = verdict;
    va_start(arguments, format);
    vsnprintf(finding->text, sizeof(finding->text), format, arguments);
    va_end(arguments);
}

void find_clock(struct finding *finding)
{
    struct timex state = {};
    char now[FORMAT_SIZE];
    uint64_t usec = now_usec(CLOCK_REALTIME);
    int r = adjtimex(&state); /* which a sandbox may forbid, even if nothing is to be set */

    format_timestamp(now, usec, false);
    if (usec < CLOCK_FLOOR_USEC)
        find(finding, VERDICT_BAD, "The clock says %s: set it (timedatectl set-time)", now);
    else if (r == TIME_ERROR || state.status & STA_UNSYNC)
        find(finding, VERDICT_NOTE,
             "The clock says %s, and nobody keeps it right: timedatectl set-ntp true", now);
    else
        find(finding, VERDICT_OK,
             r < 0 ? "The clock says %s" : "The clock says %s and is kept right", now);
}

void finding_print(void *userdata, const char *name, const struct finding *finding)
{
    const bool *color = userdata;

    printf("%s%-4s%s  %-10s  %s\n", *color ? verdicts[finding->verdict].color : "",
           verdicts[finding->verdict].word, *color ? "\033[0m" : "", name, finding->text);
    fflush(stdout); /* the next one may take a while */
}

bool checklist_run(const struct check *checks, size_t n, void *subject, finding_sink sink,
                   void *userdata)
{
    bool good = true;

    for (size_t i = 0; i < n; i++) {
        struct finding finding = {};

        checks[i].look(subject, &finding);
        if (!*finding.text)
            continue;
        sink(userdata, checks[i].name, &finding);
        good &= finding.verdict != VERDICT_BAD;
    }
    return good;
}
