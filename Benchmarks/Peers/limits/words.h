// SPDX-License-Identifier: Apache-2.0
//
// A word in shared memory that one process stores and another one waits for: it is watched for a while before the kernel is asked to wait, unless both have one processor together.

#ifndef WORDS_H
#define WORDS_H

#include <stdint.h>

struct word {
    _Alignas(128) uint32_t value;
    uint32_t sleeping;
};

void set(struct word *word, uint32_t value);

// Waits until the value is another than `old`, and returns it.
uint32_t await_change(struct word *word, uint32_t old);

// The same without watching: every hand-over goes through the kernel.
uint32_t await_change_asleep(struct word *word, uint32_t old);

#endif
