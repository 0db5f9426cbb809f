/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_MONITOR_ANSWERS_H
#define PORTMON_MONITOR_ANSWERS_H

/*
 * Turns portmond's answers into plain structs, for monitor-client.c. What a newer portmond adds is
 * passed over. Each returns 0, -ENOMEM, or what sd-bus says of an answer that makes no sense.
 */

#include "client/monitor-client.h"

#include <systemd/sd-bus.h>

int answer_status(sd_bus_message *reply, struct service_status *ret);
int answer_ports(sd_bus_message *reply, struct port_list *ret);
int answer_stats(sd_bus_message *reply, struct port_stats *ret);

/** The figures of all ports, from what an object manager answers, by number. */
int answer_all_stats(sd_bus_message *reply, struct port_stats_list *ret);

int answer_gaps(sd_bus_message *reply, struct gap_list *ret);
int answer_connections(sd_bus_message *reply, struct connection_list *ret);

/** Returns 1, or 0 at the end of an array of records. */
int answer_record(sd_bus_message *reply, struct interval *ret);

#endif
