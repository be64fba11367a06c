// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "CLaboratory.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local uint32_t variable;

int laboratory_thread_id(void) { return (int)syscall(SYS_gettid); }

uint32_t *laboratory_thread_variable(void) { return &variable; }

int laboratory_use_one_processor(void) {
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all) != 0) return -1;
    for (int processor = 0; processor < CPU_SETSIZE; processor++) {
        if (!CPU_ISSET(processor, &all)) continue;
        CPU_ZERO(&one);
        CPU_SET(processor, &one);
        return sched_setaffinity(0, sizeof one, &one);
    }
    return -1;
}
