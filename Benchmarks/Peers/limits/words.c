// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "words.h"

#include <linux/futex.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { watchful = 2000 };

#if defined(__x86_64__)
#define RELAX() __builtin_ia32_pause()
#else
#define RELAX() __asm__ volatile("yield")
#endif

void set(struct word *word, uint32_t value) {
    __atomic_store_n(&word->value, value, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&word->sleeping, __ATOMIC_SEQ_CST) != 0) syscall(SYS_futex, &word->value, FUTEX_WAKE, 1, NULL, NULL, 0);
}

// How often to look: not at all where the other side needs this processor.
static int looks(void) {
    static int number = -1;
    cpu_set_t processors;
    if (number < 0) number = sched_getaffinity(0, sizeof processors, &processors) == 0 && CPU_COUNT(&processors) == 1 ? 0 : watchful;
    return number;
}

uint32_t await_change(struct word *word, uint32_t old) {
    for (int look = 0; look < looks(); look++) {
        uint32_t value = __atomic_load_n(&word->value, __ATOMIC_ACQUIRE);
        if (value != old) return value;
        RELAX();
    }
    return await_change_asleep(word, old);
}

uint32_t await_change_asleep(struct word *word, uint32_t old) {
    __atomic_store_n(&word->sleeping, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&word->value, __ATOMIC_SEQ_CST) == old) syscall(SYS_futex, &word->value, FUTEX_WAIT, old, NULL, NULL, 0);
    __atomic_store_n(&word->sleeping, 0, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&word->value, __ATOMIC_ACQUIRE);
}
