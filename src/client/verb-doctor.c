/* SPDX-License-Identifier: MIT */
/* What an ordinary user can see of what may be wrong. portmond --doctor sees the rest. */
#include "client/json.h"
#include "client/monitor-unit.h"
#include "client/table.h"
#include "client/text.h"
#include "client/verbs.h"
#include "shared/checklist.h"
#include "shared/format.h"
#include "shared/time-util.h"

#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <stdio.h>
#include <string.h>

/* Of older gaps status tells. */
#define RECENT_DAYS 7

/** What is looked at, and what is known of it. */
struct patient {
    const struct arguments *arguments;
    int unit_result; /* of asking systemd; -ENODATA if it was not asked */
    struct reason unit_reason;
    struct unit_state unit;
    const char *way; /* how portmond was reached; NULL if it was not */
    struct reason reason;
    struct service_status status;
    struct port_list ports;
    struct gap_list gaps;
    uint64_t now_usec;
};

static void check_bus(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;

    if (patient->unit_result == -ENODATA || (patient->unit_result < 0 && patient->arguments->host))
        return; /* it was not asked, or the service's line says why it could not be */
    if (patient->unit_result == -ENOTCONN)
        find(finding, VERDICT_NOTE, "There is no system bus, so only the socket is left");
    else
        find(finding, VERDICT_OK, "The system bus answers");
}

static void check_unit(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;
    const struct unit_state *unit = &patient->unit;
    int r = patient->unit_result;

    if (r == -ENODATA || r == -ENOTCONN)
        return;
    if (r == -ENOENT)
        find(finding, VERDICT_NOTE, "systemd does not run there, so portmond is started by hand");
    else if (r < 0)
        find(finding, VERDICT_NOTE, "%s", patient->unit_reason.text);
    else if (strcmp(unit->load, "not-found") == 0)
        find(finding, VERDICT_NOTE,
             "systemd does not know portmond.service: install portmon, not only its programs");
    else if (strcmp(unit->load, "loaded") != 0)
        find(finding, VERDICT_BAD, "portmond.service is %s: systemctl status portmond", unit->load);
    else if (strcmp(unit->active, "failed") == 0)
        find(finding, VERDICT_BAD, "portmond.service has failed: journalctl -eu portmond says why");
    else if (strcmp(unit->active, "active") != 0 && strcmp(unit->active, "reloading") != 0)
        find(finding, VERDICT_BAD, "portmond.service is %s: systemctl start portmond",
             unit->active);
    else if (strcmp(unit->file, "enabled") != 0)
        find(finding, VERDICT_NOTE,
             "portmond.service is %s, but %s at boot: systemctl enable portmond", unit->active,
             unit->file);
    else
        find(finding, VERDICT_OK, "portmond.service is %s and enabled", unit->active);
}

static void check_service(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;
    char uptime[FORMAT_SIZE];

    if (!patient->way)
        find(finding, VERDICT_BAD, "%s", patient->reason.text);
    else
        find(finding, VERDICT_OK, "portmond answers (by %s), and has run for %s", patient->way,
             format_duration(uptime, patient->now_usec - patient->status.start_usec));
}

static void check_version(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;

    if (!patient->way)
        return;
    if (strcmp(patient->status.version, PORTMON_VERSION) == 0)
        find(finding, VERDICT_OK, "portmond and portmon are " PORTMON_VERSION);
    else
        find(finding, VERDICT_NOTE,
             "portmond is %s, portmon is " PORTMON_VERSION
             ": after an upgrade, systemctl restart portmond",
             patient->status.version);
}

static void check_collector(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;

    if (!patient->way)
        return;
    if (patient->status.exact)
        find(finding, VERDICT_OK, "It counts by %s", patient->status.collector);
    else
        find(
            finding, VERDICT_NOTE,
            "It counts by %s, which is not exact: portmond --doctor, as root, says what is missing",
            patient->status.collector);
}

static void check_ports(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;

    if (!patient->way)
        return;
    if (patient->ports.n)
        find(finding, VERDICT_OK, "%zu %s watched", patient->ports.n,
             patient->ports.n == 1 ? "port is" : "ports are");
    else
        find(finding, VERDICT_NOTE, "No port is watched: portmon add-port PORT");
}

static void check_losses(void *subject, struct finding *finding)
{
    /* An event that one program did not see, another one has; if not, there is a gap. */
    static const struct {
        const char *name, *what;
    } losses[] = {
        {"storage_failures", "connections were not counted for want of kernel memory"},
        {"lost_closes", "connections ended unseen"},
        {"unsettled", "connections may lack their last bytes"},
    };
    const struct patient *patient = subject;

    if (!patient->way)
        return;
    for (size_t i = 0; i < ELEMENTSOF(losses); i++)
        for (size_t k = 0; k < N_LOSSES; k++)
            if (patient->status.losses[k].count &&
                strcmp(patient->status.losses[k].name, losses[i].name) == 0) {
                find(finding, VERDICT_NOTE,
                     "%" PRIu64 " %s since the counters began: see portmon status",
                     patient->status.losses[k].count, losses[i].what);
                return;
            }
    find(finding, VERDICT_OK, "No connection was lost");
}

static void check_gaps(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;
    const struct gap *last = patient->gaps.n ? &patient->gaps.gaps[patient->gaps.n - 1] : NULL;
    char span[GAP_SPAN_SIZE];

    if (!patient->way)
        return;
    if (!last)
        find(finding, VERDICT_OK, "No gap in %d days", RECENT_DAYS);
    else
        find(finding, VERDICT_NOTE, "%zu %s in %d days, the last %s: %s", patient->gaps.n,
             patient->gaps.n == 1 ? "gap" : "gaps", RECENT_DAYS, gap_span(span, last, false),
             gap_reason_explain(last->reason));
}

static void check_ledger(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;

    if (!patient->way)
        return;
    if (*patient->status.ledger_failure)
        find(finding, VERDICT_BAD,
             "portmond can't write to %s: %s (look for a full or read-only disk, and at "
             "permissions)",
             patient->status.data_directory, patient->status.ledger_failure);
    else
        find(finding, VERDICT_OK, "portmond writes to %s", patient->status.data_directory);
}

static void check_clock(void *subject, struct finding *finding)
{
    const struct patient *patient = subject;

    if (!patient->arguments->host)
        find_clock(finding);
}

static void check_locale(void *subject, struct finding *finding)
{
    if (text_is_unicode())
        find(finding, VERDICT_OK, "The locale has all of Unicode");
    else
        find(finding, VERDICT_NOTE,
             "The locale's characters are %s, so graphs are coarse, and the dashboard shows other "
             "scripts as '?': "
             "LC_ALL=C.UTF-8",
             nl_langinfo(CODESET));
}

/** Learns what the checks look at. */
static int examine(struct context *context, struct patient *patient)
{
    const struct arguments *arguments = &context->arguments;
    const struct monitor_target target = {
        .socket_path = arguments->socket_path,
        .host = arguments->host,
        .start = MONITOR_START_NEVER,
    };
    struct reason *reason = &patient->reason;
    uint64_t recent = usec_before(patient->now_usec, RECENT_DAYS * 86400 * USEC_PER_SEC);
    int r;

    patient->unit_result = arguments->socket_path
                               ? -ENODATA
                               : monitor_unit_look(arguments->host, &patient->unit,
                                                   &patient->unit_reason);
    if ((r = monitor_client_open(&context->client, &target, reason)) < 0 ||
        (r = monitor_client_status(context->client, &patient->status, reason)) < 0 ||
        (r = monitor_client_list_ports(context->client, &patient->ports, reason)) < 0 ||
        (r = monitor_client_gaps(context->client, recent, UINT64_MAX, &patient->gaps, reason)) < 0)
        return r;
    patient->way = monitor_client_way(context->client);
    return 0;
}

/** The text may quote what another host has said. */
static void print_finding(void *userdata, const char *name, const struct finding *finding)
{
    struct finding printable = *finding;

    make_printable(printable.text);
    finding_print(userdata, name, &printable);
}

int verb_doctor(struct context *context)
{
    static const struct check checks[] = {
        {"bus", check_bus},         {"unit", check_unit},           {"service", check_service},
        {"version", check_version}, {"collector", check_collector}, {"ports", check_ports},
        {"losses", check_losses},   {"gaps", check_gaps},           {"ledger", check_ledger},
        {"clock", check_clock},     {"locale", check_locale},
    };
    _cleanup_(json_freep) struct json_object *json = NULL;
    struct patient patient = {
        .arguments = &context->arguments,
        .now_usec = now_usec(CLOCK_REALTIME),
    };
    bool color = context_wants_color(), good;
    int r = examine(context, &patient);

    if (r < 0 && !*patient.reason.text)
        fail_errno(&patient.reason, r, "Cannot ask portmond");
    r = 0;
    if (context->arguments.json) {
        json = json_findings_new();
        good = checklist_run(checks, ELEMENTSOF(checks), &patient, json_add_finding, json);
        json_finish_findings(json, good);
        r = json_print(json);
    } else
        good = checklist_run(checks, ELEMENTSOF(checks), &patient, print_finding, &color);
    service_status_clear(&patient.status);
    port_list_clear(&patient.ports);
    gap_list_clear(&patient.gaps);
    return r < 0 ? report_failure(context, &(struct reason){}, r)
                 : (good ? STATUS_DONE : STATUS_FAILED);
}
