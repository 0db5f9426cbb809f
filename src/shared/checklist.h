/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_CHECKLIST_H
#define PORTMON_CHECKLIST_H

/* What `portmond --doctor` and `portmon doctor` go through: things to look at, a finding each. */

#include <stdbool.h>
#include <stddef.h>

enum verdict {
    VERDICT_OK,
    VERDICT_NOTE, /* works, but somebody may want to know */
    VERDICT_BAD,
};

/** What was found; the text says what is, and if it is not ok, what to do. */
struct finding {
    enum verdict verdict;
    char text[640];
};

/** One thing to look at. Where it has nothing to say it leaves the finding empty. */
struct check {
    const char *name;
    void (*look)(void *subject, struct finding *finding);
};

/** Takes a finding as soon as it is there. */
typedef void (*finding_sink)(void *userdata, const char *name, const struct finding *finding);

/** Looks at everything, and returns whether nothing was bad. */
bool checklist_run(const struct check *checks, size_t n, void *subject, finding_sink sink,
                   void *userdata);

/** A sink: prints a line, in colour if userdata, a bool, says so. */
void finding_print(void *userdata, const char *name, const struct finding *finding);

/** "ok", "note" or "bad". */
const char *verdict_to_string(enum verdict verdict);

/** Fills in a finding. */
void find(struct finding *finding, enum verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Whether the clock of this host can be right, and somebody keeps it so. */
void find_clock(struct finding *finding);

#endif
