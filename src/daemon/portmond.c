/* SPDX-License-Identifier: MIT */
/* The daemon's command line. */
#include "daemon/config.h"
#include "daemon/manager.h"
#include "shared/bus-names.h"
#include "shared/log.h"
#include "shared/parse.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum exit_status {
    STATUS_DONE = 0,
    STATUS_FAILED = 1,
    STATUS_USAGE = 2,
};

static void print_help(void)
{
    puts("portmond [OPTIONS]\n"
         "\n"
         "Counts the TCP traffic of ports, exactly, and keeps its history.\n"
         "\n"
         "  -p --port=PORT           Watch this port; may be given more than once\n"
         "     --data-dir=DIR        Keep the history here (" DEFAULT_DATA_DIRECTORY ")\n"
         "     --retention-days=N    Keep 5-minute detail for 1 to 365 days (180)\n"
         "     --socket=PATH         Serve clients here (" DEFAULT_SOCKET_PATH ")\n"
         "     --log-level=LEVEL     debug, info, warn or error (info)\n"
         "  -h --help                Show this help\n"
         "     --version             Show the version\n"
         "\n"
         "See portmond(8).");
}

static int usage(const char *format, const char *value)
{
    fputs("portmond: ", stderr);
    fprintf(stderr, format, value);
    fputs("; see portmond --help\n", stderr);
    return -EINVAL;
}

/** Returns 1 to go on, 0 if all is done, -EINVAL for wrong usage (said), or -ENOMEM. */
static int parse_arguments(struct config *config, int argc, char *argv[])
{
    enum {
        OPTION_DATA_DIR = 0x100,
        OPTION_RETENTION_DAYS,
        OPTION_SOCKET,
        OPTION_LOG_LEVEL,
        OPTION_VERSION,
    };
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"data-dir", required_argument, NULL, OPTION_DATA_DIR},
        {"retention-days", required_argument, NULL, OPTION_RETENTION_DAYS},
        {"socket", required_argument, NULL, OPTION_SOCKET},
        {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, OPTION_VERSION},
        {},
    };
    uint64_t number;
    uint16_t port;
    int option, r;

    while ((option = getopt_long(argc, argv, "hp:", options, NULL)) >= 0)
        switch (option) {
        case 'p':
            if (parse_port(optarg, &port) < 0)
                return usage("'%s' is not a port; use 1 to 65535", optarg);
            r = config_add_port(config, port, "");
            if (r < 0)
                return r;
            if (r == 0)
                log_warning("Port %u is given more than once", port);
            break;
        case OPTION_DATA_DIR:
            if (!*optarg)
                return usage("the data directory has no name%s", "");
            r = config_set_string(&config->data_directory, optarg);
            if (r < 0)
                return r;
            break;
        case OPTION_RETENTION_DAYS:
            if (parse_number(optarg, 1, MAX_RETENTION_DAYS, &number) < 0)
                return usage("'%s' is not a number of days from 1 to 365", optarg);
            config->retention_days = (unsigned) number;
            break;
        case OPTION_SOCKET:
            if (!*optarg)
                return usage("the socket has no name%s", "");
            r = config_set_string(&config->socket_path, optarg);
            if (r < 0)
                return r;
            break;
        case OPTION_LOG_LEVEL:
            r = log_level_from_string(optarg);
            if (r < 0)
                return usage("'%s' is not a log level; use debug, info, warn or error", optarg);
            config->log_level = r;
            break;
        case 'h':
            print_help();
            return 0;
        case OPTION_VERSION:
            puts("portmond " PORTMON_VERSION);
            return 0;
        default: /* getopt has said what it does not know */
            fputs("See portmond --help.\n", stderr);
            return -EINVAL;
        }
    if (optind < argc)
        return usage("'%s' is not an option", argv[optind]);
    return 1;
}

int main(int argc, char *argv[])
{
    _cleanup_(config_freep) struct config *config = NULL;
    struct reason reason = {};
    int r = -ENOMEM;

    log_open();
    config = config_new();
    if (config)
        r = parse_arguments(config, argc, argv);
    if (r == 0)
        return STATUS_DONE;
    if (r == -EINVAL)
        return STATUS_USAGE;
    if (r > 0) {
        log_set_level(config->log_level);
        r = manager_run(config, &reason);
    }
    if (r < 0) {
        log_error("%s", *reason.text ? reason.text : strerrordesc_np(-r));
        return STATUS_FAILED;
    }
    return STATUS_DONE;
}
