/* SPDX-License-Identifier: MIT */
/* The command line of portmon, a word a line, and the ranges of time that it names. */
#include "client/arguments.h"
#include "fuzz.h"
#include "shared/cleanup.h"
#include "shared/parse.h"

#include <errno.h>
#include <getopt.h>

#define MAX_WORDS 64

/* 22 November 2026 */
#define TODAY ((struct date){2026, 11, 22})

static const struct verb verbs[] = {
    {"everything", "[ONE [TWO]]", "Take all options", BIT(_OPTION_MAX) - 1, 0, 2, NULL},
    {"eventually", "", "Begin like another one", RANGE_OPTIONS, 0, 0, NULL},
    {"nothing", "ONE", "Take none", 0, 1, 1, NULL},
    {},
};

static void check_range(const struct range_request *request)
{
    struct range range = range_resolve(request, request->cycle_day ? 0 : 31, TODAY);

    MUST_BE(date_is_valid(range.first) && date_is_valid(range.last));
    MUST_BE(date_compare(range.first, range.last) <= 0);
    MUST_BE(range.from_usec < range.until_usec);
    if (request->kind != RANGE_DATES)
        MUST_BE(date_compare(range.first, TODAY) <= 0);
}

static void check(const struct arguments *arguments)
{
    MUST_BE(arguments->verb && arguments->verb->name);
    MUST_BE(arguments->n_parameters >= arguments->verb->min_parameters);
    MUST_BE(arguments->n_parameters <= arguments->verb->max_parameters);
    MUST_BE(arguments->interval_sec >= 1 && arguments->interval_sec <= 3600);
    MUST_BE(!arguments->host || *arguments->host);
    MUST_BE(!arguments->socket_path || *arguments->socket_path);
    if (arguments->range.kind != RANGE_NONE)
        check_range(&arguments->range);
}

/** Numbers are read as strtoull() reads them, but whole and plain. */
static void check_number(const char *word)
{
    bool plain = *word && word[strspn(word, "0123456789")] == '\0';
    uint64_t number, wanted;
    uint16_t port;
    int r = parse_number(word, 0, UINT64_MAX, &number);

    errno = 0;
    wanted = strtoull(word, NULL, 10);
    MUST_BE((r >= 0) == (plain && errno == 0));
    MUST_BE(r < 0 || number == wanted);
    MUST_BE((parse_port(word, &port) >= 0) == (r >= 0 && wanted >= 1 && wanted <= UINT16_MAX));
}

static void check_date(const char *word)
{
    char text[DATE_STRING_SIZE];
    struct date date;

    if (date_parse(word, &date) < 0)
        return;
    MUST_BE(date_is_valid(date));
    MUST_BE(strcmp(date_format(date, text), word) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *text = strndup((const char *) data, size);
    char name[] = "portmon", *words[MAX_WORDS + 2] = {name}, *rest = text;
    struct arguments arguments;
    int n = 1, status = -1;

    MUST_BE(text);
    while (rest && n <= MAX_WORDS)
        words[n++] = strsep(&rest, "\n");
    for (int i = 1; i < n; i++) {
        check_number(words[i]);
        check_date(words[i]);
    }
    optind = 0;
    if (arguments_parse(verbs, n, words, &arguments, &status) > 0)
        check(&arguments);
    else
        MUST_BE(status == STATUS_DONE || status == STATUS_USAGE);
    return 0;
}
