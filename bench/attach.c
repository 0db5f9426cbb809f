/* SPDX-License-Identifier: MIT */
/* Loads and attaches all programs of a BPF object, and keeps them until it is killed. */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/** usage: attach OBJECT */
int main(int argc, char *argv[])
{
    struct bpf_object *object = argc == 2 ? bpf_object__open(argv[1]) : NULL;
    struct bpf_program *program;

    if (!object || bpf_object__load(object) < 0)
        return 1;
    bpf_object__for_each_program(program, object) if (!bpf_program__attach(program)) return 1;
    puts("attached");
    fflush(stdout);
    pause();
}
