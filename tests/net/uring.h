/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_URING_H
#define PORTMON_URING_H

/* io_uring by its system calls: one operation at a time. */

#include <linux/io_uring.h>
#include <stddef.h>
#include <stdint.h>

#define URING_SEND           IORING_OP_SEND
#define URING_RECV           IORING_OP_RECV
#define URING_WRITE          IORING_OP_WRITE
#define URING_READ           IORING_OP_READ
#define URING_SEND_ZERO_COPY IORING_OP_SEND_ZC

struct uring;

/** Returns NULL if the kernel has none or refuses. */
struct uring *uring_new(void);

/** Performs an operation and returns its result: a number of octets, or a negative errno. */
int uring_do(struct uring *uring, uint8_t operation, int fd, void *buffer, size_t size);

void uring_free(struct uring *uring);

#endif
