/* SPDX-License-Identifier: MIT */
/*
 * The configuration file. Strict: what is not understood is an error with its place, and all errors
 * are found in one go. This is the only part that knows libyaml.
 */
#include "daemon/config.h"
#include "shared/bus-names.h"
#include "shared/calendar.h"
#include "shared/log.h"
#include "shared/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

/* A configuration that names all ports with long descriptions has less than this. */
#define MAX_FILE_BYTES (32U << 20)

/** What is known while a file is read. */
struct reader {
    struct config *config;
    const char *name;
    yaml_document_t *document;
    config_report report;
    void *userdata;
    unsigned errors;
    bool out_of_memory;
};

static void problem(struct reader *reader, int level, const yaml_mark_t *mark, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));

static void problem(struct reader *reader, int level, const yaml_mark_t *mark, const char *format,
                    ...)
{
    _cleanup_free_ char *message = NULL, *text = NULL;
    va_list arguments;
    int r;

    va_start(arguments, format);
    r = vasprintf(&message, format, arguments);
    va_end(arguments);
    /* It is one line, whatever is quoted in it. */
    for (char *c = message; r >= 0 && *c; c++)
        if ((unsigned char) *c < ' ' || *c == 0x7f)
            *c = '?';
    if (r >= 0)
        r = mark ? asprintf(&text, "%s:%zu:%zu: %s", reader->name, mark->line + 1, mark->column + 1,
                            message)
                 : asprintf(&text, "%s: %s", reader->name, message);
    reader->report(reader->userdata, level, r >= 0 ? text : "Out of memory");
    if (level <= LOG_ERR)
        reader->errors++;
}

#define wrong(reader, node, ...) problem((reader), LOG_ERR, &(node)->start_mark, __VA_ARGS__)

/* ---- values: each returns 0, or -EINVAL after reporting ---- */

/** A text without zero bytes: quoted or plain, but not nothing. */
static const char *as_text(const yaml_node_t *node)
{
    const char *text = (const char *) node->data.scalar.value;

    if (node->type != YAML_SCALAR_NODE || strlen(text) != node->data.scalar.length)
        return NULL;
    if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
        (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0))
        return NULL;
    return text;
}

static const char *kind_of(const yaml_node_t *node)
{
    switch (node->type) {
    case YAML_SEQUENCE_NODE:
        return "a list";
    case YAML_MAPPING_NODE:
        return "a mapping";
    default:
        return as_text(node) ? "text" : "nothing";
    }
}

static int read_number(struct reader *reader, const yaml_node_t *node, const char *what,
                       uint64_t min, uint64_t max, uint64_t *ret)
{
    const char *text = as_text(node);

    if (!text || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        wrong(reader, node, "%s must be a number, not %s", what, kind_of(node));
        return -EINVAL;
    }
    if (parse_number(text, min, max, ret) < 0) {
        wrong(reader, node, "%s must be a number from %" PRIu64 " to %" PRIu64 ", not '%s'", what,
              min, max, text);
        return -EINVAL;
    }
    return 0;
}

static int read_path(struct reader *reader, const yaml_node_t *node, const char *what,
                     char **setting)
{
    const char *text = as_text(node);

    if (!text || *text != '/') {
        wrong(reader, node, "%s must be an absolute path", what);
        return -EINVAL;
    }
    if (config_set_string(setting, text) < 0)
        reader->out_of_memory = true;
    return 0;
}

/* ---- mappings ---- */

/** A key that a mapping may have. @target is what the mapping is read into. */
struct key {
    const char *name;
    void (*read)(struct reader *reader, const yaml_node_t *value, void *target);
};

static const yaml_node_t *node_at(struct reader *reader, int index)
{
    return yaml_document_get_node(reader->document, index);
}

static const struct key *find_key(const struct key *keys, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

/** The names of keys, for a message: "port, description". */
static void list_keys(char *buffer, size_t size, const struct key *keys, size_t n)
{
    size_t length = 0;

    for (size_t i = 0; i < n && length < size; i++)
        length += (size_t) snprintf(buffer + length, size - length, "%s%s", i ? ", " : "",
                                    keys[i].name);
}

/** Reads a mapping by its table of keys; at most 64. */
static void read_mapping(struct reader *reader, const yaml_node_t *node, const struct key *keys,
                         size_t n_keys, void *target)
{
    uint64_t seen = 0;

    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = node_at(reader, pair->key);
        const char *text = as_text(name);
        const struct key *key = text ? find_key(keys, n_keys, text) : NULL;
        char known[128] = "";
        uint64_t bit;

        if (!key) {
            list_keys(known, sizeof(known), keys, n_keys);
            wrong(reader, name, "'%s' is not a key that is known here (%s)", text ?: kind_of(name),
                  known);
            continue;
        }
        bit = UINT64_C(1) << (key - keys);
        if (seen & bit)
            wrong(reader, name, "'%s' is there twice", key->name);
        else
            key->read(reader, node_at(reader, pair->value), target);
        seen |= bit;
    }
}

/* ---- ports ---- */

struct port_entry {
    uint64_t port; /* 0 until it was read */
    uint64_t cycle_day;
    const char *description;
    bool named;
};

static void read_entry_port(struct reader *reader, const yaml_node_t *value, void *target)
{
    struct port_entry *entry = target;

    entry->named = true;
    read_number(reader, value, "port", 1, UINT16_MAX, &entry->port);
}

static void read_entry_description(struct reader *reader, const yaml_node_t *value, void *target)
{
    struct port_entry *entry = target;
    const char *text = as_text(value);

    if (!text)
        wrong(reader, value, "description must be text, not %s", kind_of(value));
    else if (strlen(text) > MAX_DESCRIPTION_BYTES)
        wrong(reader, value, "description is longer than %d bytes", MAX_DESCRIPTION_BYTES);
    else if (!is_one_line(text))
        wrong(reader, value, "description has control characters");
    else
        entry->description = text;
}

static void read_entry_cycle_day(struct reader *reader, const yaml_node_t *value, void *target)
{
    struct port_entry *entry = target;

    read_number(reader, value, "cycle_day", 1, CYCLE_DAY_MAX, &entry->cycle_day);
}

static void read_port(struct reader *reader, const yaml_node_t *node)
{
    static const struct key keys[] = {
        {"port", read_entry_port},
        {"description", read_entry_description},
        {"cycle_day", read_entry_cycle_day},
    };
    struct port_entry entry = {.description = ""};
    int r;

    if (node->type == YAML_MAPPING_NODE) {
        read_mapping(reader, node, keys, ELEMENTSOF(keys), &entry);
        if (!entry.named)
            wrong(reader, node, "An entry of 'ports' has no 'port'");
    } else
        read_entry_port(reader, node, &entry);
    if (!entry.port)
        return;
    r = config_add_port(reader->config, (uint16_t) entry.port, entry.description,
                        (int) entry.cycle_day);
    if (r < 0)
        reader->out_of_memory = true;
    if (r == 0)
        problem(reader, LOG_WARNING, &node->start_mark,
                "Port %" PRIu64 " is there already; the first entry counts", entry.port);
}

/* ---- settings ---- */

static void read_ports(struct reader *reader, const yaml_node_t *value, void *target)
{
    if (value->type != YAML_SEQUENCE_NODE) {
        wrong(reader, value, "'ports' must be a list, not %s", kind_of(value));
        return;
    }
    for (const yaml_node_item_t *item = value->data.sequence.items.start;
         item < value->data.sequence.items.top; item++)
        read_port(reader, node_at(reader, *item));
}

static void read_data_dir(struct reader *reader, const yaml_node_t *value, void *target)
{
    read_path(reader, value, "data_dir", &reader->config->data_directory);
}

static void read_socket(struct reader *reader, const yaml_node_t *value, void *target)
{
    read_path(reader, value, "socket", &reader->config->socket_path);
}

static void read_retention_days(struct reader *reader, const yaml_node_t *value, void *target)
{
    uint64_t days;

    if (read_number(reader, value, "retention_days", 1, MAX_RETENTION_DAYS, &days) >= 0)
        reader->config->retention_days = (unsigned) days;
}

static void read_log_level(struct reader *reader, const yaml_node_t *value, void *target)
{
    const char *text = as_text(value);
    int level = text ? log_level_from_string(text) : -EINVAL;

    if (level < LOG_ERR)
        wrong(reader, value, "log_level must be debug, info, warn or error, not '%s'",
              text ?: kind_of(value));
    else
        reader->config->log_level = level;
}

static void read_collector(struct reader *reader, const yaml_node_t *value, void *target)
{
    const char *text = as_text(value);
    int kind = text ? collector_kind_from_string(text) : -EINVAL;

    if (kind < 0)
        wrong(reader, value, "collector must be " COLLECTOR_NAMES ", not '%s'",
              text ?: kind_of(value));
    else
        reader->config->collector = (enum collector_kind) kind;
}

static const struct key settings[] = {
    {"ports", read_ports},         {"data_dir", read_data_dir},
    {"socket", read_socket},       {"retention_days", read_retention_days},
    {"log_level", read_log_level}, {"collector", read_collector},
};

/* ---- files ---- */

static void read_document(struct reader *reader)
{
    const yaml_node_t *root = yaml_document_get_root_node(reader->document);

    if (!root)
        return; /* empty: the defaults */
    if (root->type == YAML_SCALAR_NODE && !as_text(root))
        return;
    if (root->type != YAML_MAPPING_NODE)
        wrong(reader, root, "The file must be a mapping of settings, not %s", kind_of(root));
    else
        read_mapping(reader, root, settings, ELEMENTSOF(settings), NULL);
}

/** Where a byte of the file is. Columns are characters, as libyaml counts them. */
static yaml_mark_t mark_of(const char *text, size_t size, size_t offset)
{
    yaml_mark_t mark = {};

    for (size_t i = 0; i < offset && i < size; i++)
        if (text[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if (((unsigned char) text[i] & 0xc0) != 0x80)
            mark.column++;
    return mark;
}

static void report_syntax(struct reader *reader, const yaml_parser_t *parser, const char *text,
                          size_t size)
{
    yaml_mark_t mark = mark_of(text, size, parser->problem_offset);

    if (parser->error == YAML_MEMORY_ERROR)
        reader->out_of_memory = true;
    else if (parser->error == YAML_READER_ERROR)
        problem(reader, LOG_ERR, &mark, "Not valid YAML: %s", parser->problem);
    else
        problem(reader, LOG_ERR, &parser->problem_mark, "Not valid YAML: %s%s%s", parser->problem,
                parser->context ? " " : "", parser->context ?: "");
}

int config_parse(struct config *config, const char *name, const void *text, size_t size,
                 config_report report, void *userdata)
{
    struct reader reader = {
        .config = config,
        .name = name,
        .report = report,
        .userdata = userdata,
    };
    yaml_document_t document, second;
    yaml_parser_t parser;

    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_input_string(&parser, text, size);
    if (!yaml_parser_load(&parser, &document))
        report_syntax(&reader, &parser, text, size);
    else {
        reader.document = &document;
        read_document(&reader);
        yaml_document_delete(&document);
        if (!yaml_parser_load(&parser, &second))
            report_syntax(&reader, &parser, text, size);
        else {
            if (yaml_document_get_root_node(&second))
                problem(&reader, LOG_ERR, &second.start_mark, "There is a second document");
            yaml_document_delete(&second);
        }
    }
    yaml_parser_delete(&parser);
    if (reader.out_of_memory)
        return -ENOMEM;
    return reader.errors ? -EINVAL : 0;
}

int config_load(struct config *config, const char *path, config_report report, void *userdata)
{
    struct reader reader = {.name = path, .report = report, .userdata = userdata};
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    _cleanup_free_ char *text = NULL;
    size_t size;
    int r;

    if (!file) {
        r = -errno;
        problem(&reader, LOG_ERR, NULL, "Cannot open the configuration: %s", strerrordesc_np(-r));
        return r;
    }
    text = malloc(MAX_FILE_BYTES);
    if (!text)
        return -ENOMEM;
    size = fread(text, 1, MAX_FILE_BYTES, file);
    if (ferror(file)) {
        r = -errno;
        problem(&reader, LOG_ERR, NULL, "Cannot read the configuration: %s", strerrordesc_np(-r));
        return r;
    }
    if (size == MAX_FILE_BYTES) {
        problem(&reader, LOG_ERR, NULL, "The file is larger than %u MiB", MAX_FILE_BYTES >> 20);
        return -EINVAL;
    }
    return config_parse(config, path, text, size, report, userdata);
}
