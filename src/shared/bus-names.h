/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_BUS_NAMES_H
#define PORTMON_BUS_NAMES_H

/* The names that daemon and client agree on. dbus/org.portmon.Monitor1.xml describes what is there.
 */

#define MONITOR_BUS_NAME  "org.portmon.Monitor1"
#define MONITOR_PATH      "/org/portmon/Monitor1"
#define MONITOR_INTERFACE "org.portmon.Monitor1"
#define PORT_PATH_PREFIX  MONITOR_PATH "/port"
#define PORT_INTERFACE    "org.portmon.Port1"

#define ERROR_NO_SUCH_PORT  MONITOR_INTERFACE ".Error.NoSuchPort"
#define ERROR_PORT_EXISTS   MONITOR_INTERFACE ".Error.PortExists"
#define ERROR_INVALID_PORT  MONITOR_INTERFACE ".Error.InvalidPort"
#define ERROR_INVALID_RANGE MONITOR_INTERFACE ".Error.InvalidRange"
#define ERROR_LEDGER        MONITOR_INTERFACE ".Error.Ledger"

#define ACTION_MANAGE_PORTS        "org.portmon.monitor1.manage-ports"
#define ACTION_FLUSH               "org.portmon.monitor1.flush"
#define ACTION_INSPECT_CONNECTIONS "org.portmon.monitor1.inspect-connections"

#define DEFAULT_SOCKET_PATH    "/run/portmon/portmon.sock"
#define DEFAULT_DATA_DIRECTORY "/var/lib/portmon"
#define DEFAULT_CONFIG_PATH    "/etc/portmon/portmon.yaml"

#define DEFAULT_RETENTION_DAYS 180
#define MAX_RETENTION_DAYS     365

/** Bytes of UTF-8 a description may have: what fits a table and a log line. */
#define MAX_DESCRIPTION_BYTES 256

#endif
