/* SPDX-License-Identifier: MIT */
/* list-ports, add-port, remove-port, describe-port */
#include "client/json.h"
#include "client/table.h"
#include "client/verbs.h"
#include "shared/parse.h"

#include <errno.h>
#include <stdio.h>

/** Reads the PORT that a verb begins with. */
static int read_port(struct context *context)
{
    const char *text = context->arguments.parameters[0];

    if (parse_port(text, &context->arguments.port) < 0)
        return usage_error("'%s' is not a port; use 1 to 65535", text);
    return 0;
}

int verb_list_ports(struct context *context)
{
    static const struct column columns[] = {{"PORT", ALIGN_RIGHT}, {"DESCRIPTION", ALIGN_LEFT}};
    _cleanup_(json_freep) struct json_object *json = NULL;
    _cleanup_(table_freep) struct table *table = NULL;
    _cleanup_port_list_ struct port_list list = {};
    struct reason reason = {};
    int r;

    if ((r = context_connect(context, &reason)) < 0 ||
        (r = monitor_client_list_ports(context->client, &list, &reason)) < 0)
        return report_failure(context, &reason, r);
    if (context->arguments.json) {
        json = json_ports(&list);
        r = json_print(json);
        return r < 0 ? report_failure(context, &reason, r) : STATUS_DONE;
    }
    if (!list.n)
        hint_no_ports();
    table = table_new(columns, ELEMENTSOF(columns));
    r = table ? 0 : -ENOMEM;
    for (size_t i = 0; r >= 0 && i < list.n; i++)
        if ((r = table_add(table, "%u", list.ports[i].port)) >= 0)
            r = table_add(table, "%s", list.ports[i].description);
    if (r < 0)
        return report_failure(context, &reason, r);
    context_print_table(table);
    return STATUS_DONE;
}

int verb_add_port(struct context *context)
{
    const struct arguments *arguments = &context->arguments;
    const char *description = arguments->n_parameters > 1 ? arguments->parameters[1] : "";
    struct reason reason = {};
    int r;

    if ((r = read_port(context)))
        return r;
    if ((r = context_connect_to_change(context, &reason)) < 0 ||
        (r = monitor_client_add_port(context->client, context->arguments.port, description,
                                     &reason)) < 0)
        return report_failure(context, &reason, r);
    return STATUS_DONE;
}

int verb_remove_port(struct context *context)
{
    struct reason reason = {};
    int r;

    if ((r = read_port(context)))
        return r;
    if ((r = context_connect_to_change(context, &reason)) < 0 ||
        (r = monitor_client_remove_port(context->client, context->arguments.port, &reason)) < 0)
        return report_failure(context, &reason, r);
    printf(
        "Port %u is no longer watched; its history stays. If portmond's configuration or command "
        "line names it, it comes back with the next start or reload.\n",
        context->arguments.port);
    return STATUS_DONE;
}

int verb_describe_port(struct context *context)
{
    struct reason reason = {};
    int r;

    if ((r = read_port(context)))
        return r;
    if ((r = context_connect_to_change(context, &reason)) < 0 ||
        (r = monitor_client_describe_port(context->client, context->arguments.port,
                                          context->arguments.parameters[1], &reason)) < 0)
        return report_failure(context, &reason, r);
    return STATUS_DONE;
}
