/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_LEDGER_SCHEMA_H
#define PORTMON_LEDGER_SCHEMA_H

#include "daemon/sql.h"
#include "shared/reason.h"

/**
 * Makes sure that the database is a ledger of this version: makes an empty one into a ledger,
 * brings an older one up to date. Returns 0 or a negative errno with @reason: -EBADMSG if it is a
 * database of something else, -EOVERFLOW if a newer portmon made it. Then it is left as it was.
 */
int ledger_schema_prepare(struct sql *sql, const char *path, struct reason *reason);

#endif
