/* SPDX-License-Identifier: MIT */
#include "client/arguments.h"

#include "client/table.h"
#include "shared/cleanup.h"
#include "shared/parse.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LONG_ONLY 0x100

/* A century, and an hour: more is a slip of the finger. */
#define MAX_CYCLES_BACK  1200
#define MAX_INTERVAL_SEC 3600

int usage_error(const char *format, ...)
{
    _cleanup_free_ char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    if (text)
        make_printable(text);
    fprintf(stderr, "portmon: %s; see portmon --help\n", text ?: "out of memory");
    return STATUS_USAGE;
}

/* ---- what each option does: returns 0, or STATUS_USAGE after saying why ---- */

static int take_host(struct arguments *arguments, const char *value)
{
    arguments->host = value;
    return *value ? 0 : usage_error("--host needs a name");
}

static int take_socket(struct arguments *arguments, const char *value)
{
    arguments->socket_path = value;
    return *value ? 0 : usage_error("--socket needs a path");
}

static int take_port(struct arguments *arguments, const char *value)
{
    uint16_t port;

    if (parse_port(value, &port) < 0)
        return usage_error("'%s' is not a port; use 1 to 65535", value);
    if (arguments->port && arguments->port != port)
        return usage_error("two ports were given; choose one, or none for all");
    arguments->port = port;
    return 0;
}

static int take_role(struct arguments *arguments, const char *value)
{
    int role = role_from_string(value);

    if (role < 0)
        return usage_error("'%s' is not a role; use server or client", value);
    arguments->role = (enum role) role;
    return 0;
}

static int set_range(struct arguments *arguments, enum range_kind kind)
{
    if (arguments->range.kind != RANGE_NONE && arguments->range.kind != kind)
        return usage_error("two ranges were given; choose one");
    arguments->range.kind = kind;
    return 0;
}

static int take_today(struct arguments *arguments, const char *value)
{
    return set_range(arguments, RANGE_TODAY);
}

static int take_this_month(struct arguments *arguments, const char *value)
{
    return set_range(arguments, RANGE_THIS_MONTH);
}

static int take_last_7_days(struct arguments *arguments, const char *value)
{
    return set_range(arguments, RANGE_LAST_7_DAYS);
}

static int take_last_30_days(struct arguments *arguments, const char *value)
{
    return set_range(arguments, RANGE_LAST_30_DAYS);
}

static int take_cycle_day(struct arguments *arguments, const char *value)
{
    uint64_t day;

    if (parse_number(value, 1, CYCLE_DAY_MAX, &day) < 0)
        return usage_error("'%s' is not a day of the month; use 1 to 31", value);
    arguments->range.cycle_day = (int) day;
    return set_range(arguments, RANGE_CYCLE);
}

static int take_cycle(struct arguments *arguments, const char *value)
{
    uint64_t back;

    if (parse_number(*value == '-' ? value + 1 : value, 0, MAX_CYCLES_BACK, &back) < 0 ||
        (*value != '-' && back != 0))
        return usage_error("'%s' is not a billing cycle; use 0 for the current one, -1 for the one "
                           "before, ...",
                           value);
    arguments->range.cycle_offset = -(int) back;
    return set_range(arguments, RANGE_CYCLE);
}

static int take_date(struct arguments *arguments, const char *value, struct date *ret)
{
    if (date_parse(value, ret) < 0)
        return usage_error("'%s' is not a date; use YYYY-MM-DD", value);
    return set_range(arguments, RANGE_DATES);
}

static int take_from(struct arguments *arguments, const char *value)
{
    return take_date(arguments, value, &arguments->range.from);
}

static int take_to(struct arguments *arguments, const char *value)
{
    return take_date(arguments, value, &arguments->range.to);
}

static int take_by(struct arguments *arguments, const char *value)
{
    int resolution = resolution_from_string(value);

    if (resolution < 0)
        return usage_error("'%s' is not a resolution; use 5min, hour, day or month", value);
    arguments->by = (enum resolution) resolution;
    return 0;
}

static int take_limit(struct arguments *arguments, const char *value)
{
    uint64_t limit;

    if (parse_number(value, 1, SIZE_MAX, &limit) < 0)
        return usage_error("'%s' is not a number of rows", value);
    arguments->limit = limit;
    return 0;
}

static int take_top(struct arguments *arguments, const char *value)
{
    arguments->top = true;
    return 0;
}

static int take_interval(struct arguments *arguments, const char *value)
{
    uint64_t seconds;

    if (parse_number(value, 1, MAX_INTERVAL_SEC, &seconds) < 0)
        return usage_error("'%s' is not a number of seconds from 1 to %d", value, MAX_INTERVAL_SEC);
    arguments->interval_sec = (unsigned) seconds;
    return 0;
}

static int take_utc(struct arguments *arguments, const char *value)
{
    arguments->utc = true;
    return 0;
}

static int take_si(struct arguments *arguments, const char *value)
{
    arguments->units = UNITS_SI;
    return 0;
}

static int take_csv(struct arguments *arguments, const char *value)
{
    arguments->csv = true;
    return 0;
}

static int take_json(struct arguments *arguments, const char *value)
{
    arguments->json = true;
    return 0;
}

static const struct option_entry {
    const char *name;
    char letter;       /* or 0 */
    const char *value; /* what its value is called in the help; NULL if it has none */
    const char *help;
    int (*take)(struct arguments *arguments, const char *value);
} entries[_OPTION_MAX] = {
    [OPTION_HOST] = {"host", 'H', "[USER@]HOST", "Ask portmond on another host, by ssh", take_host},
    [OPTION_SOCKET] = {"socket", 0, "PATH", "Ask on this socket, not on the system bus",
                       take_socket},
    [OPTION_HELP] = {"help", 'h', NULL, "Show this help", NULL},
    [OPTION_VERSION] = {"version", 0, NULL, "Show the version", NULL},
    [OPTION_PORT] = {"port", 'p', "PORT", "Only this port", take_port},
    [OPTION_ROLE] = {"role", 0, "ROLE", "server (accepted here; the default) or client", take_role},
    [OPTION_TODAY] = {"today", 0, NULL, "Since midnight", take_today},
    [OPTION_THIS_MONTH] = {"this-month", 0, NULL, "Since the first of this month", take_this_month},
    [OPTION_LAST_7_DAYS] = {"last-7-days", 0, NULL, "Today and the 6 days before",
                            take_last_7_days},
    [OPTION_LAST_30_DAYS] = {"last-30-days", 0, NULL, "Today and the 29 days before",
                             take_last_30_days},
    [OPTION_CYCLE_DAY] = {"cycle-day", 0, "D", "The billing cycle from day D (1 to 31) on",
                          take_cycle_day},
    [OPTION_CYCLE] = {"cycle", 0, "N", "0: this billing cycle, -1: the one before, ...",
                      take_cycle},
    [OPTION_FROM] = {"from", 0, "DATE", "From this day on, YYYY-MM-DD", take_from},
    [OPTION_TO] = {"to", 0, "DATE", "Up to and including this day", take_to},
    [OPTION_BY] = {"by", 0, "RESOLUTION", "A row each 5min, hour, day (default) or month", take_by},
    [OPTION_LIMIT] = {"limit", 0, "N", "The last N rows only", take_limit},
    [OPTION_TOP] = {"top", 0, NULL, "The heaviest rows first (10 without --limit)", take_top},
    [OPTION_INTERVAL] = {"interval", 'n', "SECONDS", "A line every so many seconds (1)",
                         take_interval},
    [OPTION_UTC] = {"utc", 0, NULL, "Show times in UTC", take_utc},
    [OPTION_SI] = {"si", 0, NULL, "Units of 1000 bytes, not 1024", take_si},
    [OPTION_CSV] = {"csv", 0, NULL, "Print comma-separated values: plain bytes", take_csv},
    [OPTION_JSON] = {"json", 0, NULL, "Print JSON: plain bytes and microseconds", take_json},
};

/* ---- help ---- */

/* Where explanations begin: behind the longest of what they explain. */
#define HELP_COLUMN 30

static void print_option(const struct option_entry *entry)
{
    char text[64];

    snprintf(text, sizeof(text), "%c%c --%s%s%s", entry->letter ? '-' : ' ', entry->letter ?: ' ',
             entry->name, entry->value ? "=" : "", entry->value ?: "");
    printf("  %-*s %s\n", HELP_COLUMN, text, entry->help);
}

static void print_options(uint64_t options)
{
    for (enum option_id option = 0; option < _OPTION_MAX; option++)
        if (options & BIT(option))
            print_option(&entries[option]);
}

static void print_verb_help(const struct verb *verb)
{
    printf("portmon %s%s%s%s\n\n%s\n\n", verb->name, verb->options ? " [OPTIONS]" : "",
           *verb->parameters ? " " : "", verb->parameters, verb->summary);
    print_options(verb->options);
    print_options(COMMON_OPTIONS);
    puts("\nSee portmon(1).");
}

static void print_help(const struct verb *verbs)
{
    uint64_t some = 0;
    char text[64];

    puts("portmon [OPTIONS] VERB ...\n\nAsks portmond about the traffic of ports.\n\nVerbs:");
    for (const struct verb *verb = verbs; verb->name; verb++) {
        snprintf(text, sizeof(text), "%s %s", verb->name, verb->parameters);
        printf("  %-*s %s\n", HELP_COLUMN, text, verb->summary);
        some |= verb->options;
    }
    puts("\nOptions:");
    print_options(COMMON_OPTIONS);
    puts("\nOptions of some verbs (portmon VERB --help shows which):");
    print_options(some);
    puts("\nSee portmon(1).");
}

/* ---- reading ---- */

/** Finds a verb by its name or an unambiguous beginning of it. */
static const struct verb *find_verb(const struct verb *verbs, const char *name)
{
    const struct verb *found = NULL;
    size_t length = strlen(name);

    for (const struct verb *verb = verbs; verb->name; verb++) {
        if (strcmp(verb->name, name) == 0)
            return verb;
        if (length == 0 || strncmp(verb->name, name, length) != 0)
            continue;
        if (found) {
            usage_error("'%s' may be %s or %s", name, found->name, verb->name);
            return NULL;
        }
        found = verb;
    }
    if (!found)
        usage_error("'%s' is not a verb", name);
    return found;
}

/** Says why getopt does not take a long option that it found, or may have found, in @word. */
static int wrong_long_option(const char *word)
{
    const struct option_entry *found = NULL;
    size_t length = strcspn(word, "=");

    for (size_t i = 0; i < _OPTION_MAX; i++) {
        if (length <= 2 || strncmp(entries[i].name, word + 2, length - 2) != 0)
            continue;
        if (found)
            return usage_error("'%.*s' may be --%s or --%s", (int) length, word, found->name,
                               entries[i].name);
        found = &entries[i];
    }
    return usage_error("'%s' is not an option", word);
}

/** Says what getopt does not say itself, so that all of it reads alike. */
static int wrong_option(int code, const char *word)
{
    int i = optopt - LONG_ONLY;

    if (i >= 0)
        return usage_error(code == ':' ? "--%s needs a value" : "--%s takes no value",
                           entries[i].name);
    if (optopt)
        return usage_error(code == ':' ? "-%c needs a value" : "'-%c' is not an option", optopt);
    return wrong_long_option(word);
}

static int take_options(int argc, char *argv[], struct arguments *ret)
{
    struct option options[_OPTION_MAX + 1] = {};
    char letters[3 * _OPTION_MAX + 2] = ":"; /* tells a value that is missing from the rest */
    size_t n = 1;
    int r, code;

    for (int i = 0; i < _OPTION_MAX; i++) {
        const struct option_entry *entry = &entries[i];

        options[i] = (struct option){
            .name = entry->name,
            .has_arg = entry->value ? required_argument : no_argument,
            .val = LONG_ONLY + i,
        };
        if (entry->letter) {
            letters[n++] = entry->letter;
            if (entry->value)
                letters[n++] = ':';
        }
    }
    letters[n] = '\0';

    opterr = 0;
    while ((code = getopt_long(argc, argv, letters, options, NULL)) >= 0) {
        int i = code - LONG_ONLY;

        if (code == '?' || code == ':')
            return wrong_option(code, argv[optind - 1]);
        if (code < LONG_ONLY)
            for (i = 0; entries[i].letter != code; i++)
                ;
        ret->given |= BIT(i);
        r = entries[i].take ? entries[i].take(ret, optarg) : 0;
        if (r)
            return r;
    }
    return 0;
}

static int check(const struct arguments *arguments)
{
    const struct verb *verb = arguments->verb;
    const struct range_request *range = &arguments->range;
    uint64_t odd = arguments->given & ~(verb->options | COMMON_OPTIONS);

    if (odd)
        return usage_error("%s has no option --%s", verb->name, entries[__builtin_ctzll(odd)].name);
    if (arguments->n_parameters < verb->min_parameters)
        return usage_error("%s needs %s", verb->name, verb->parameters);
    if (arguments->n_parameters > verb->max_parameters)
        return usage_error("'%s' is too much for %s", arguments->parameters[verb->max_parameters],
                           verb->name);
    if (arguments->host && arguments->socket_path)
        return usage_error("--host and --socket exclude each other");
    if (arguments->json && arguments->csv)
        return usage_error("--json and --csv exclude each other");
    if (range->kind == RANGE_DATES) {
        if (!(arguments->given & BIT(OPTION_FROM)))
            return usage_error("--to needs --from");
        if (!(arguments->given & BIT(OPTION_TO)))
            return usage_error("--from needs --to");
        if (date_compare(range->from, range->to) > 0)
            return usage_error("the range ends before it begins");
    }
    return 0;
}

int arguments_parse(const struct verb *verbs, int argc, char *argv[], struct arguments *ret,
                    int *ret_status)
{
    *ret = (struct arguments){.by = RESOLUTION_DAY, .interval_sec = 1};
    *ret_status = take_options(argc, argv, ret);
    if (*ret_status)
        return 0;
    if (ret->given & BIT(OPTION_VERSION)) {
        puts("portmon " PORTMON_VERSION);
        return 0;
    }
    if (optind < argc) {
        ret->verb = find_verb(verbs, argv[optind]);
        if (!ret->verb) {
            *ret_status = STATUS_USAGE;
            return 0;
        }
        ret->parameters = argv + optind + 1;
        ret->n_parameters = argc - optind - 1;
    }
    if (ret->given & BIT(OPTION_HELP)) {
        if (ret->verb)
            print_verb_help(ret->verb);
        else
            print_help(verbs);
        return 0;
    }
    if (!ret->verb) {
        *ret_status = usage_error("say what to do");
        return 0;
    }
    *ret_status = check(ret);
    return *ret_status == 0;
}
