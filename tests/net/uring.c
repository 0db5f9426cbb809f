/* SPDX-License-Identifier: MIT */
#include "uring.h"

#include "traffic.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct uring {
    int fd;
    struct io_uring_params params;
    char *rings; /* submission and completion ring, which share their memory */
    size_t rings_size;
    struct io_uring_sqe *entries;
    size_t entries_size;
};

static void *map(const struct uring *uring, size_t size, off_t offset)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, uring->fd, offset);

    EXPECT(memory != MAP_FAILED);
    return memory;
}

static uint32_t *ring_word(const struct uring *uring, uint32_t offset)
{
    return (uint32_t *) (void *) (uring->rings + offset);
}

struct uring *uring_new(void)
{
    struct uring *uring = calloc(1, sizeof(*uring));

    EXPECT(uring);
    uring->fd = (int) syscall(SYS_io_uring_setup, 4, &uring->params);
    if (uring->fd < 0 || !(uring->params.features & IORING_FEAT_SINGLE_MMAP)) {
        free(uring);
        return NULL;
    }
    uring->rings_size = uring->params.cq_off.cqes +
                        uring->params.cq_entries * sizeof(struct io_uring_cqe);
    uring->entries_size = uring->params.sq_entries * sizeof(struct io_uring_sqe);
    uring->rings = map(uring, uring->rings_size, IORING_OFF_SQ_RING);
    uring->entries = map(uring, uring->entries_size, IORING_OFF_SQES);
    return uring;
}

void uring_free(struct uring *uring)
{
    munmap(uring->rings, uring->rings_size);
    munmap(uring->entries, uring->entries_size);
    close(uring->fd);
    free(uring);
}

static void submit(struct uring *uring, const struct io_uring_sqe *entry)
{
    uint32_t *tail = ring_word(uring, uring->params.sq_off.tail);
    uint32_t index = *tail & *ring_word(uring, uring->params.sq_off.ring_mask);

    uring->entries[index] = *entry;
    ring_word(uring, uring->params.sq_off.array)[index] = index;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    EXPECT(syscall(SYS_io_uring_enter, uring->fd, 1, 0, 0, NULL, 0) == 1);
}

struct completion {
    int result;
    uint32_t flags;
};

static struct completion wait_for_completion(struct uring *uring)
{
    uint32_t *head = ring_word(uring, uring->params.cq_off.head);
    const uint32_t *tail = ring_word(uring, uring->params.cq_off.tail);
    const struct io_uring_cqe *entries = (void *) ring_word(uring, uring->params.cq_off.cqes);
    const struct io_uring_cqe *entry;
    struct completion completion;

    while (__atomic_load_n(tail, __ATOMIC_ACQUIRE) == *head)
        MUST(syscall(SYS_io_uring_enter, uring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
    entry = &entries[*head & *ring_word(uring, uring->params.cq_off.ring_mask)];
    completion = (struct completion){entry->res, entry->flags};
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return completion;
}

int uring_do(struct uring *uring, uint8_t operation, int fd, void *buffer, size_t size)
{
    struct io_uring_sqe entry = {
        .opcode = operation,
        .fd = fd,
        .addr = (uintptr_t) buffer,
        .len = (uint32_t) size,
    };
    struct completion completion;

    submit(uring, &entry);
    completion = wait_for_completion(uring);
    /* The buffer of a zero-copy send is ours again when a second completion says so. */
    if (completion.flags & IORING_CQE_F_MORE)
        wait_for_completion(uring);
    return completion.result;
}
