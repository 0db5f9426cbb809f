/* SPDX-License-Identifier: MIT */
/* The daemon's command line. */
#include "daemon/config.h"
#include "daemon/doctor.h"
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

/** What the command line says. Zero and NULL are left to the file. The strings are those of argv.
 */
struct arguments {
    const char *config_path;
    const char *data_directory;
    const char *socket_path;
    unsigned retention_days;
    int log_level; /* -1 if not given */
    int collector; /* -1 if not given */
    uint16_t *ports;
    size_t n_ports;
    bool check;
    bool doctor;
};

static void print_help(void)
{
    puts("portmond [OPTIONS]\n"
         "\n"
         "Counts the TCP traffic of ports, exactly, and keeps its history.\n"
         "\n"
         "  -c --config=FILE         Read this file (" DEFAULT_CONFIG_PATH ")\n"
         "  -p --port=PORT           Watch this port, not the file's; repeat it for more\n"
         "     --data-dir=DIR        Keep the history here (" DEFAULT_DATA_DIRECTORY ")\n"
         "     --retention-days=N    Keep 5-minute detail for 1 to 365 days (180)\n"
         "     --socket=PATH         Serve clients here (" DEFAULT_SOCKET_PATH ")\n"
         "     --log-level=LEVEL     debug, info, warn or error (info)\n"
         "     --collector=NAME      Count by this, see portmond(8) (auto)\n"
         "     --check               Say whether the configuration is valid, and end\n"
         "     --doctor              Look at all that portmond depends on, and end\n"
         "  -h --help                Show this help\n"
         "     --version             Show the version\n"
         "\n"
         "Options win over the file. See portmond(8).");
}

static int usage(const char *format, const char *value)
{
    fputs("portmond: ", stderr);
    fprintf(stderr, format, value);
    fputs("; see portmond --help\n", stderr);
    return STATUS_USAGE;
}

/* Returns 0 to go on, or -1 with the exit status in *@ret_status. */
static int parse_arguments(struct arguments *arguments, int argc, char *argv[], int *ret_status)
{
    enum {
        OPTION_DATA_DIR = 0x100,
        OPTION_RETENTION_DAYS,
        OPTION_SOCKET,
        OPTION_LOG_LEVEL,
        OPTION_COLLECTOR,
        OPTION_CHECK,
        OPTION_DOCTOR,
        OPTION_VERSION,
    };
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"port", required_argument, NULL, 'p'},
        {"data-dir", required_argument, NULL, OPTION_DATA_DIR},
        {"retention-days", required_argument, NULL, OPTION_RETENTION_DAYS},
        {"socket", required_argument, NULL, OPTION_SOCKET},
        {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
        {"collector", required_argument, NULL, OPTION_COLLECTOR},
        {"check", no_argument, NULL, OPTION_CHECK},
        {"doctor", no_argument, NULL, OPTION_DOCTOR},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, OPTION_VERSION},
        {},
    };
    uint64_t number;
    int option;

    *ret_status = STATUS_DONE;
    while ((option = getopt_long(argc, argv, "hc:p:", options, NULL)) >= 0 && !*ret_status)
        switch (option) {
        case 'c':
            arguments->config_path = optarg;
            if (!*optarg)
                *ret_status = usage("the configuration file has no name%s", "");
            break;
        case 'p':
            if (parse_port(optarg, &arguments->ports[arguments->n_ports++]) < 0)
                *ret_status = usage("'%s' is not a port; use 1 to 65535", optarg);
            break;
        case OPTION_DATA_DIR:
            arguments->data_directory = optarg;
            if (!*optarg)
                *ret_status = usage("the data directory has no name%s", "");
            break;
        case OPTION_RETENTION_DAYS:
            if (parse_number(optarg, 1, MAX_RETENTION_DAYS, &number) < 0)
                *ret_status = usage("'%s' is not a number of days from 1 to 365", optarg);
            else
                arguments->retention_days = (unsigned) number;
            break;
        case OPTION_SOCKET:
            arguments->socket_path = optarg;
            if (!*optarg)
                *ret_status = usage("the socket has no name%s", "");
            break;
        case OPTION_LOG_LEVEL:
            arguments->log_level = log_level_from_string(optarg);
            if (arguments->log_level < LOG_ERR)
                *ret_status = usage("'%s' is not a log level; use debug, info, warn or error",
                                    optarg);
            break;
        case OPTION_COLLECTOR:
            arguments->collector = collector_kind_from_string(optarg);
            if (arguments->collector < 0)
                *ret_status = usage("'%s' is not a collector; use " COLLECTOR_NAMES, optarg);
            break;
        case OPTION_CHECK:
            arguments->check = true;
            break;
        case OPTION_DOCTOR:
            arguments->doctor = true;
            break;
        case 'h':
            print_help();
            *ret_status = fflush(stdout) == 0 ? STATUS_DONE : STATUS_FAILED;
            return -1;
        case OPTION_VERSION:
            puts("portmond " PORTMON_VERSION);
            *ret_status = fflush(stdout) == 0 ? STATUS_DONE : STATUS_FAILED;
            return -1;
        default: /* getopt has said what it does not know */
            *ret_status = STATUS_USAGE;
        }
    if (!*ret_status && optind < argc)
        *ret_status = usage("'%s' is not an option", argv[optind]);
    return *ret_status ? -1 : 0;
}

/** Says what is wrong with the configuration: to the log, or for --check and --doctor as compilers
 * do. */
static void report(void *userdata, int level, const char *text)
{
    const struct arguments *arguments = userdata;

    if (arguments->check || arguments->doctor)
        fprintf(stderr, "%s\n", text);
    else
        log_write(level, NULL, "%s", text);
}

static int apply_arguments(struct config *config, const struct arguments *arguments)
{
    int r = 0;

    if (arguments->n_ports)
        config_clear_ports(config);
    for (size_t i = 0; r >= 0 && i < arguments->n_ports; i++) {
        r = config_add_port(config, arguments->ports[i], "", 0);
        if (r == 0)
            log_warning("Port %u is given more than once", arguments->ports[i]);
    }
    if (r >= 0 && arguments->data_directory)
        r = config_set_string(&config->data_directory, arguments->data_directory);
    if (r >= 0 && arguments->socket_path)
        r = config_set_string(&config->socket_path, arguments->socket_path);
    if (arguments->retention_days)
        config->retention_days = arguments->retention_days;
    if (arguments->log_level >= 0)
        config->log_level = arguments->log_level;
    if (arguments->collector >= 0)
        config->collector = (enum collector_kind) arguments->collector;
    return r < 0 ? r : 0;
}

/** Reads file and command line. A default file that is missing is as good as an empty one. */
static int make_config(void *userdata, struct config **ret)
{
    const struct arguments *arguments = userdata;
    _cleanup_(config_freep) struct config *config = config_new();
    const char *path = arguments->config_path ?: DEFAULT_CONFIG_PATH;
    int r;

    if (!config)
        return -ENOMEM;
    if (arguments->config_path || access(path, F_OK) == 0 || errno != ENOENT) {
        r = config_load(config, path, report, userdata);
        if (r < 0)
            return r;
    }
    r = apply_arguments(config, arguments);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(config);
    return 0;
}

/** Looks at everything, also if the configuration file, which would be @config, is of no use. */
static int run_doctor(const struct arguments *arguments, struct config *config)
{
    _cleanup_(config_freep) struct config *owned = config ?: config_new();
    const struct doctor_case it = {.config = owned, .config_is_valid = config};
    bool good;

    if (!owned || (!config && apply_arguments(owned, arguments) < 0)) {
        log_error("Out of memory");
        return STATUS_FAILED;
    }
    log_set_level(owned->log_level);
    good = doctor_run(&it);
    return fflush(stdout) == 0 && !ferror(stdout) && good ? STATUS_DONE : STATUS_FAILED;
}

int main(int argc, char *argv[])
{
    _cleanup_free_ uint16_t *ports = calloc((size_t) argc + 1, sizeof(*ports));
    struct arguments arguments = {.log_level = -1, .collector = -1, .ports = ports};
    struct config *config = NULL;
    struct reason reason = {};
    int r, status;

    log_open();
    if (!ports)
        return STATUS_FAILED;
    if (parse_arguments(&arguments, argc, argv, &status) < 0)
        return status;
    r = make_config(&arguments, &config);
    if (arguments.doctor && r != -ENOMEM)
        return run_doctor(&arguments, config);
    if (r < 0) {
        if (r == -ENOMEM)
            log_error("Out of memory");
        return STATUS_FAILED;
    }
    if (arguments.check) {
        config_free(config);
        return STATUS_DONE;
    }
    log_set_level(config->log_level);
    r = manager_run(config, make_config, &arguments, &reason);
    if (r < 0) {
        log_error("%s", *reason.text ? reason.text : strerrordesc_np(-r));
        return STATUS_FAILED;
    }
    return STATUS_DONE;
}
