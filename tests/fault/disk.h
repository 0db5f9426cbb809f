/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_FAULT_DISK_H
#define PORTMON_FAULT_DISK_H

/*
 * A disk that fails as told: it stands between SQLite and its files, and numbers what is done to
 * them. What is told, and the number, are in memory that is shared with child processes.
 */

#include <stdbool.h>
#include <stdint.h>

enum disk_operation {
    DISK_OPEN,
    DISK_READ,
    DISK_WRITE,
    DISK_TRUNCATE,
    DISK_SYNC,
    DISK_LOCK,
    DISK_SHARE, /* memory with other processes */
    DISK_DELETE,
    DISK_LOOK, /* whether a file is there, or how large */
    DISK_NAME, /* rename(), link(), unlink() and fsync(), by us */
    _DISK_OPERATION_MAX,
};

enum disk_fault {
    DISK_WORKS,
    DISK_FAILS,     /* with an error of input and output */
    DISK_IS_FULL,   /* where something is written */
    DISK_IS_LOCKED, /* where something is locked */
    DISK_NO_MEMORY, /* for SQLite */
    DISK_CRASH,     /* the process ends, in the middle of a write */
    DISK_POWER_CUT, /* it ends, and any of what was not synced is not on the disk */
    _DISK_FAULT_MAX,
};

struct disk {
    uint64_t n; /* operations so far */
    enum disk_fault fault;
    uint64_t first;  /* the number of the operation from which on … */
    uint64_t length; /* … so many fail; each that can fail so */
    uint64_t failed;
    uint64_t chance; /* what of a write gets through; not zero */
};

extern struct disk *disk;

/** Puts the disk in place. Call it once, before SQLite is used. */
void disk_make(void);

/** Works from now on, and counts from zero. */
void disk_mend(void);

/** What a process that was ended by the disk exits with. */
#define DISK_EXIT 42

/** "fails", "is full", … */
const char *disk_fault_name(enum disk_fault fault);

#endif
