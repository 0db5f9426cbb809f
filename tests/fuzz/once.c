/* SPDX-License-Identifier: MIT */
/* Gives a target each of the files that the command line names, once. */
#include "fuzz.h"

#include <stdio.h>

#define MAX_BYTES (1 << 20)

int main(int argc, char *argv[])
{
    static uint8_t buffer[MAX_BYTES];

    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "re");
        size_t n;
        uint8_t *exact;

        if (!file) {
            perror(argv[i]);
            return EXIT_FAILURE;
        }
        n = fread(buffer, 1, sizeof(buffer), file);
        fclose(file);
        exact = malloc(n ?: 1); /* so that a sanitizer sees what reads too far */
        if (!exact)
            return EXIT_FAILURE;
        memcpy(exact, buffer, n);
        LLVMFuzzerTestOneInput(exact, n);
        free(exact);
    }
    return EXIT_SUCCESS;
}
