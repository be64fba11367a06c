// SPDX-License-Identifier: Apache-2.0
//
// What only tests need of C.

#ifndef CLABORATORY_H
#define CLABORATORY_H

#include <stdint.h>

// The kernel's number of the calling thread.
int laboratory_thread_id(void);

// A variable of the calling thread, as a program may have one.
uint32_t *laboratory_thread_variable(void);

// Lets the calling thread, and what it forks, run on one processor only. Returns -1 when that cannot be.
int laboratory_use_one_processor(void);

#endif
