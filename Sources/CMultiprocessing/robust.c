// SPDX-License-Identifier: Apache-2.0
//
// Futex words whose holder may die, and waits on several words. See robust.h.

#define _GNU_SOURCE
#include "CMultiprocessing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449  // the same on every architecture
#endif

_Thread_local struct mp_thread mp_thread_cache;
uint32_t mp_fork_count;

static void after_fork_in_child(void) {
    mp_thread_cache.id = 0;
    __atomic_fetch_add(&mp_fork_count, 1, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void watch_forks(void) { pthread_atfork(NULL, NULL, after_fork_in_child); }

void mp_thread_fill(void) {
    size_t size;
    struct robust_list_head *list = NULL;
    if (syscall(SYS_get_robust_list, 0, &list, &size) < 0 || list == NULL || list->futex_offset != -MP_ROBUST_NEXT) {
        fprintf(stderr, "multiprocessing: this C library keeps no robust list that locks could join\n");
        abort();
    }
    mp_thread_cache.robust = list;
    mp_thread_cache.process = getpid();
    mp_thread_cache.id = (uint32_t)syscall(SYS_gettid);
}

int mp_futex_wait_any(const struct mp_futex *futexes, size_t count, int64_t deadline_ns, int64_t look_ns) {
    struct { uint64_t value, address; uint32_t flags, reserved; } waits[MP_FUTEXES];  // struct futex_waitv, which headers before 5.16 lack
    struct timespec deadline = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
    if (count > MP_FUTEXES) count = MP_FUTEXES;
    for (size_t i = 0; i < count; i++) {
        waits[i].value = futexes[i].expected;
        waits[i].address = (uintptr_t)futexes[i].word;
        waits[i].flags = 2;  // FUTEX_32; not FUTEX_PRIVATE_FLAG
        waits[i].reserved = 0;
    }
    static bool unavailable;
    if (!__atomic_load_n(&unavailable, __ATOMIC_RELAXED)) {
        if (syscall(SYS_futex_waitv, waits, count, 0, deadline_ns < 0 ? NULL : &deadline, CLOCK_MONOTONIC) >= 0) return 0;
        if (errno != ENOSYS && errno != EPERM) return -1;  // EPERM: a container's filter that does not know the call
        __atomic_store_n(&unavailable, true, __ATOMIC_RELAXED);
    }
    int64_t slice = mp_now() + look_ns;
    bool is_last = deadline_ns >= 0 && deadline_ns <= slice;
    if (mp_futex_wait(futexes[0].word, futexes[0].expected, is_last ? deadline_ns : slice) == 0) return 0;
    if (errno == ETIMEDOUT && !is_last) errno = EINTR;
    return -1;
}

int mp_futex_requeue(uint32_t *word, uint32_t expected, int count, uint32_t *target) {
    return (int)syscall(SYS_futex, word, FUTEX_CMP_REQUEUE, 0, (long)count, target, expected);
}

int mp_futex_set_bits_and_wake_all(uint32_t *word, uint32_t bits) {
    // FUTEX_WAKE_OP on one word: the kernel changes it and wakes its waiters under one lock. The operand has 12 bits, or is a power of two (the shift flag).
    uint32_t operand = bits < 2048 ? bits : (uint32_t)__builtin_ctz(bits), shift = bits < 2048 ? 0 : FUTEX_OP_OPARG_SHIFT;
    // The comparison that would wake the second word's waiters (the same ones) is with -1, which the word never is.
    uint32_t operation = (FUTEX_OP_OR | shift) << 28 | (uint32_t)FUTEX_OP_CMP_EQ << 24 | (operand & 0xfff) << 12 | 0xfff;
    return (int)syscall(SYS_futex, word, FUTEX_WAKE_OP, INT32_MAX, 1, word, operation);
}

int mp_futex_add_and_wake_all(uint32_t *word, uint32_t amount) {
    uint32_t operation = (uint32_t)FUTEX_OP_ADD << 28 | (uint32_t)FUTEX_OP_CMP_EQ << 24 | (amount & 0x7ff) << 12 | 0xfff;
    return (int)syscall(SYS_futex, word, FUTEX_WAKE_OP, INT32_MAX, 1, word, operation);
}

int mp_futex_clear_and_wake(uint32_t *word, int count) {
    // As above: 0 is stored and the waiters woken under one lock.
    uint32_t operation = (uint32_t)FUTEX_OP_SET << 28 | (uint32_t)FUTEX_OP_CMP_EQ << 24 | 0xfff;
    return (int)syscall(SYS_futex, word, FUTEX_WAKE_OP, count, 1, word, operation);
}
