/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_CLEANUP_H
#define PORTMON_CLEANUP_H

/*
 * Scope-bound ownership. A variable marked _cleanup_(f) is handed to f, by address, when it goes
 * out of scope; TAKE_PTR and TAKE_FD pass ownership on.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

/** Defines the cleanup for a pointer type whose destructor takes NULL and returns NULL. */
#define DEFINE_CLEANUP(type, destructor)            \
    static inline void destructor##p(type **object) \
    {                                               \
        destructor(*object);                        \
    }

#define TAKE_PTR(pointer)                   \
    ({                                      \
        typeof(pointer) _taken = (pointer); \
        (pointer) = NULL;                   \
        _taken;                             \
    })

#define TAKE_FD(fd)        \
    ({                     \
        int _taken = (fd); \
        (fd) = -1;         \
        _taken;            \
    })

#define ELEMENTSOF(array) (sizeof(array) / sizeof((array)[0]))

static inline void freep(void *pointer)
{
    free(*(void **) pointer);
}

/** Closes @fd unless it is negative; errno stays as it was. Returns -1. */
static inline int safe_close(int fd)
{
    int saved = errno;

    if (fd >= 0)
        close(fd);
    errno = saved;
    return -1;
}

static inline void closep(int *fd)
{
    *fd = safe_close(*fd);
}

static inline FILE *safe_fclose(FILE *file)
{
    if (file)
        fclose(file);
    return NULL;
}

DEFINE_CLEANUP(FILE, safe_fclose)

#define _cleanup_free_   _cleanup_(freep)
#define _cleanup_close_  _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(safe_fclosep)

#endif
