// SPDX-License-Identifier: Apache-2.0

#include "limits.h"

#include <stdlib.h>
#include <string.h>

enum { size = 1 << 20 };

struct buffers {
    char *source, *target;
};

// Keeps the compiler from leaving a copy out that nobody reads.
static void use(void *memory) { __asm__ volatile("" : : "r"(memory) : "memory"); }

static void copy(void *context) {
    struct buffers *buffers = context;
    memcpy(buffers->target, buffers->source, size);
    use(buffers->target);
}

static void copy_to_new(void *context) {
    struct buffers *buffers = context;
    char *target = malloc(size);
    if (target == NULL) fail("malloc");
    memcpy(target, buffers->source, size);
    use(target);
    free(target);
}

static struct buffers make_buffers(void) {
    struct buffers buffers = {malloc(size), malloc(size)};
    if (buffers.source == NULL || buffers.target == NULL) fail("malloc");
    memset(buffers.source, 1, size);
    memset(buffers.target, 2, size);
    return buffers;
}

static void measure_copy(const struct request *request, struct samples *samples) {
    struct buffers buffers = make_buffers();
    sample_times(samples, request->budget, 1, 0, copy, &buffers);
}

static void measure_copy_to_new(const struct request *request, struct samples *samples) {
    struct buffers buffers = make_buffers();
    sample_times(samples, request->budget, 1, 0, copy_to_new, &buffers);
}

const struct metric copying_metrics[] = {
    {"wire.double.1MiB.encode", "ns", measure_copy},
    {"wire.double.1MiB.decode", "ns", measure_copy_to_new},
    {"wire.data.1MiB.encode", "ns", measure_copy},
    {"wire.data.1MiB.decode", "ns", measure_copy_to_new},
    {NULL, NULL, NULL},
};
