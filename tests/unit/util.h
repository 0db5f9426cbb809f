/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_UNIT_UTIL_H
#define PORTMON_UNIT_UTIL_H

/* What several unit tests need: a time zone, chance that repeats, a directory of their own. */

#include "shared/cleanup.h"

#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Rules in POSIX form, so that a test needs no time zone database and no update of it matters. */
#define ZONE_BERLIN    "CET-1CEST,M3.5.0,M10.5.0/3"
#define ZONE_ST_JOHNS  "NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01" /* back across midnight */
#define ZONE_SAO_PAULO "<-03>3<-02>,M11.1.0/0,M2.3.0/0"      /* forward from midnight */
#define ZONE_KATHMANDU "<+0545>-5:45"

static inline void use_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

/** Whether this machine knows the rules of zones by name. */
static inline bool has_zones(void)
{
    return access("/usr/share/zoneinfo/Europe/Berlin", R_OK) == 0;
}

/** Chance, the same in every run: xorshift64*. */
static inline uint64_t chance(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/** A number below @limit. */
static inline uint64_t chance_below(uint64_t *state, uint64_t limit)
{
    return (chance(state) >> 16) % limit;
}

static inline int remove_one(const char *path, const struct stat *status, int type,
                             struct FTW *walk)
{
    return remove(path);
}

static inline char *scratch_remove(char *directory)
{
    if (directory)
        nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(directory);
    return NULL;
}

DEFINE_CLEANUP(char, scratch_remove)

/** A new directory, removed with all that is in it at the end of the scope. */
#define _cleanup_scratch_ _cleanup_(scratch_removep)

static inline char *scratch_make(void)
{
    char *path = NULL;

    if (asprintf(&path, "%s/portmon-unit-XXXXXX", getenv("TMPDIR") ?: "/tmp") < 0 || !mkdtemp(path))
        abort();
    return path;
}

/** The path of something in it. */
static inline char *scratch_path(const char *directory, const char *name)
{
    char *path = NULL;

    if (asprintf(&path, "%s/%s", directory, name) < 0)
        abort();
    return path;
}

/** Writes a file anew. */
static inline void scratch_write(const char *path, const char *data, size_t n)
{
    FILE *file = fopen(path, "w");

    if (!file || fwrite(data, 1, n, file) != n || fclose(file) != 0)
        abort();
}

/** The content of a file; empty if there is none. */
struct bytes {
    char *data;
    size_t n;
};

static inline void bytes_clear(struct bytes *bytes)
{
    free(bytes->data);
}

static inline struct bytes read_all(const char *path)
{
    _cleanup_fclose_ FILE *file = fopen(path, "re");
    struct bytes bytes = {};
    size_t size = 0;

    if (!file)
        return bytes;
    do {
        size += 65536;
        bytes.data = realloc(bytes.data, size);
        if (!bytes.data)
            abort();
        bytes.n += fread(bytes.data + bytes.n, 1, size - bytes.n, file);
    } while (bytes.n == size);
    return bytes;
}

/** Runs something in a process of its own, which ends without any cleaning up: EXIT_SUCCESS if it
 * returned true. */
static inline int in_child(bool (*run)(const char *directory), const char *directory)
{
    int status;
    pid_t child = fork();

    if (child == 0)
        _exit(run(directory) ? EXIT_SUCCESS : EXIT_FAILURE);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -ECHILD;
    return WEXITSTATUS(status);
}

/** Lets writes beyond @bytes of any file fail with EFBIG; RLIM_INFINITY ends that. */
static inline void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;

    signal(SIGXFSZ, SIG_IGN);
    if (getrlimit(RLIMIT_FSIZE, &limit) < 0)
        abort();
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
        abort();
}

#endif
