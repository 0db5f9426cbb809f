/* SPDX-License-Identifier: MIT */
#include "client/json.h"
#include "client/table.h"
#include "client/verbs.h"
#include "shared/format.h"
#include "shared/time-util.h"

#include <inttypes.h>

static void print_status(struct service_status *status, const struct port_list *ports, uint64_t now)
{
    char *texts[] = {status->version,        status->collector,   status->time_zone,
                     status->data_directory, status->socket_path, status->ledger_failure};
    char start[FORMAT_SIZE], uptime[FORMAT_SIZE];
    bool lost = false;

    for (size_t i = 0; i < ELEMENTSOF(texts); i++) /* another host may have sent them */
        make_printable(texts[i]);
    printf("   Version: %s\n", status->version);
    printf("     Since: %s; %s ago\n", format_timestamp(start, status->start_usec, false),
           format_duration(uptime, now - status->start_usec));
    printf(" Collector: %s%s\n", status->collector, status->exact ? "" : ", which is not exact");
    printf("     Ports: %zu\n", ports->n);
    printf(" Time zone: %s\n", *status->time_zone ? status->time_zone : "not known by name");
    printf("      Data: %s, 5-minute detail for %" PRIu32 " days\n", status->data_directory,
           status->retention_days);
    if (*status->ledger_failure)
        printf("    Ledger: can't be written: %s\n", status->ledger_failure);
    printf("    Socket: %s\n", status->socket_path);
    for (size_t i = 0; i < N_LOSSES; i++)
        if (status->losses[i].count) {
            printf("%s%s %" PRIu64, lost ? ", " : "    Losses: ", status->losses[i].name,
                   status->losses[i].count);
            lost = true;
        }
    puts(lost ? "" : "    Losses: none");
}

static void print_gaps_in_short(const struct gap_list *gaps)
{
    char span[GAP_SPAN_SIZE];
    const struct gap *last = gaps->n ? &gaps->gaps[gaps->n - 1] : NULL;

    if (last)
        printf("      Gaps: %zu, the last %s: %s\n", gaps->n, gap_span(span, last, false),
               gap_reason_explain(last->reason));
    else
        puts("      Gaps: none");
}

int verb_status(struct context *context)
{
    _cleanup_(json_freep) struct json_object *json = NULL;
    _cleanup_service_status_ struct service_status status = {};
    _cleanup_port_list_ struct port_list ports = {};
    _cleanup_gap_list_ struct gap_list gaps = {};
    uint64_t now = now_usec(CLOCK_REALTIME);
    struct reason reason = {};
    int r;

    if ((r = context_connect(context, &reason)) < 0 ||
        (r = monitor_client_status(context->client, &status, &reason)) < 0 ||
        (r = monitor_client_list_ports(context->client, &ports, &reason)) < 0 ||
        (r = monitor_client_gaps(context->client, 0, UINT64_MAX, &gaps, &reason)) < 0)
        return report_failure(context, &reason, r);
    if (context->arguments.json) {
        json = json_status(&status, &ports, &gaps, now);
        r = json_print(json);
        return r < 0 ? report_failure(context, &reason, r) : STATUS_DONE;
    }
    print_status(&status, &ports, now);
    print_gaps_in_short(&gaps);
    return STATUS_DONE;
}
