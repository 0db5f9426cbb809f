/* SPDX-License-Identifier: MIT */
#ifndef PORTMON_FUZZ_H
#define PORTMON_FUZZ_H

/*
 * A target takes any bytes and does something with them that must not fail. Linked with libFuzzer
 * (meson setup -Dfuzz=true, with clang) it is a fuzzer; linked with once.c it takes files, so that
 * what was found once stays mended.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/** What libFuzzer calls, again and again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Something that must be so, whatever the input is. */
#define MUST_BE(condition)    \
    do {                      \
        if (!(condition))     \
            __builtin_trap(); \
    } while (0)

/** The rest of an input. */
struct input {
    const uint8_t *data;
    size_t size;
};

/** Takes @size bytes, or zeros where there are none left. */
static inline void input_take(struct input *input, void *ret, size_t size)
{
    size_t n = size < input->size ? size : input->size;

    memset(ret, 0, size);
    if (n > 0)
        memcpy(ret, input->data, n);
    input->data += n;
    input->size -= n;
}

static inline uint8_t input_byte(struct input *input)
{
    uint8_t byte;

    input_take(input, &byte, sizeof(byte));
    return byte;
}

static inline uint64_t input_number(struct input *input)
{
    uint64_t number;

    input_take(input, &number, sizeof(number));
    return number;
}

#endif
