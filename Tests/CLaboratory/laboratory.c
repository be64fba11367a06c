// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "CLaboratory.h"

#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local uint32_t variable;

int laboratory_thread_id(void) { return (int)syscall(SYS_gettid); }

uint32_t *laboratory_thread_variable(void) { return &variable; }
