/* SPDX-License-Identifier: MIT */
#include "client/verbs.h"

int verb_flush(struct context *context)
{
    struct reason reason = {};
    int r;

    if ((r = context_connect_to_change(context, &reason)) < 0 ||
        (r = monitor_client_flush(context->client, &reason)) < 0)
        return report_failure(context, &reason, r);
    return STATUS_DONE;
}
