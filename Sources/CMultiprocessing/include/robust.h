// SPDX-License-Identifier: Apache-2.0
//
// Futex words whose holder may die (robust.c). Part of the contract of CMultiprocessing.h.
//
// Each thread has one list of the robust futexes it holds, which the kernel walks when the thread ends (set_robust_list(2), Documentation/locking/robust-futex-ABI.rst). The
// C library registered it and keeps its own robust mutexes in it; our words join that list, laid out so that both sides can link and unlink neighbours:
//
//   offset from the word   0  the futex word: holder's thread id | FUTEX_OWNER_DIED | FUTEX_WAITERS
//                         24  address of the previous entry's `next`
//                         32  `next`: address of the next entry's `next`; what the kernel follows
//
// These are inline functions because a lock is taken in ten nanoseconds, and C because the order in which a killed thread's stores took effect matters: the signal
// fences keep the compiler from moving them (the kernel looks from this thread's own program order, so the processor needs no fence).

#ifndef CMULTIPROCESSING_ROBUST_H
#define CMULTIPROCESSING_ROBUST_H

#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP_ROBUST_NEXT 32
#define MP_ROBUST_SIZE 40

// What this thread is to the kernel.
struct mp_thread {
    struct robust_list_head *robust;  // the list the kernel walks at this thread's end
    uint32_t id;                      // gettid(); 0: not filled in yet
    int32_t process;                  // getpid()
};

extern _Thread_local struct mp_thread mp_thread_cache;

// Fills in `mp_thread_cache`; it is emptied in a forked child. Aborts where the C library's list has another layout.
void mp_thread_fill(void);

// How many forks lie between the start of this program and this process: what threads, lists and caches belong to an earlier number are not this process's.
static inline uint32_t mp_fork_generation(void) {
    extern uint32_t mp_fork_count;
    return __atomic_load_n(&mp_fork_count, __ATOMIC_RELAXED);
}

static inline struct mp_thread *mp_this_thread(void) {
    if (__builtin_expect(mp_thread_cache.id == 0, 0)) mp_thread_fill();
    return &mp_thread_cache;
}

// Names the word that the owner of `list` is about to take, give up or wake, or none (NULL). If it dies before the next call the kernel marks the word when it holds
// its thread id, and wakes one waiter when it holds none: what was to be handed on is handed on.
static inline void mp_robust_pending(struct robust_list_head *list, void *word) {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *(void *volatile *)&list->list_op_pending = word == NULL ? NULL : (char *)word + MP_ROBUST_NEXT;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void **mp_robust_previous(void *entry) { return (void **)(((uintptr_t)entry & ~(uintptr_t)1) - sizeof(void *)); }

// Enters `word` into a list after `entry` (the list's head or another entry). Bit 0 of a link is glibc's mark of a priority-inheriting neighbour and is kept.
static inline void mp_robust_link(void *entry, void *word) {
    void **next = (void **)((char *)word + MP_ROBUST_NEXT);
    void *following = *(void **)entry;
    *mp_robust_previous(following) = next;
    *next = following;
    *mp_robust_previous(next) = entry;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *(void *volatile *)entry = next;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

// Removes `word` from the list it is in.
static inline void mp_robust_unlink(void *word) {
    void **next = (void **)((char *)word + MP_ROBUST_NEXT);
    void *following = *next, *preceding = *mp_robust_previous(next);
    *mp_robust_previous(following) = preceding;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *(void *volatile *)((uintptr_t)preceding & ~(uintptr_t)1) = following;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

// Takes the lock at `word` (RobustLock.swift) for this thread if it is free, and nobody waits for it or died with it.
static inline bool mp_robust_acquire_if_free(void *lock) {
    uint32_t *word = lock, expected = 0;
    struct mp_thread *thread = mp_this_thread();
    // A look before the exchange, which would take the cache line away from the holder.
    if (__atomic_load_n(word, __ATOMIC_RELAXED) != 0) return false;
    mp_robust_pending(thread->robust, lock);
    // Acquiring: pairs with the release of the holder before. In one order with what a holder looks at next, for those who ask whether somebody holds the lock.
    bool is_taken = __atomic_compare_exchange_n(word, &expected, thread->id, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    if (is_taken) {
        mp_robust_link(thread->robust, lock);
        __atomic_store_n((int32_t *)lock + 1, thread->process, __ATOMIC_RELAXED);  // for descriptions and error messages
    }
    mp_robust_pending(thread->robust, NULL);
    return is_taken;
}

// Gives up the lock at `word` if this thread holds it, acquired it once, and nobody waits for it; otherwise does nothing and returns false.
static inline bool mp_robust_release_if_unwaited(void *lock) {
    uint32_t *word = lock;
    struct mp_thread *thread = mp_this_thread();
    uint32_t expected = thread->id;
    // The value can only be this thread's id if this thread wrote it. At 20: how often it was acquired beyond the first.
    if (__atomic_load_n(word, __ATOMIC_RELAXED) != expected || word[5] != 0) return false;
    mp_robust_pending(thread->robust, lock);
    mp_robust_unlink(lock);
    __atomic_store_n((int32_t *)lock + 1, 0, __ATOMIC_RELAXED);
    // Releasing: pairs with the acquiring exchanges of the next holder.
    bool is_free = __atomic_compare_exchange_n(word, &expected, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    if (!is_free) {
        // Somebody has begun to wait meanwhile: as it was, for the way that passes the lock on.
        mp_robust_link(thread->robust, lock);
        __atomic_store_n((int32_t *)lock + 1, thread->process, __ATOMIC_RELAXED);
    }
    mp_robust_pending(thread->robust, NULL);
    return is_free;
}

// Asks for the cache line at `address`, which is to be written soon.
static inline void mp_prefetch_to_write(const void *address) {
#if defined(__x86_64__)
    // Not the compiler's own, which means a read where a processor may be old. Those that do not know the instruction ignore it.
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)address));
#else
    __builtin_prefetch(address, 1);
#endif
}

// Lets nobody see a later load before an earlier store.
static inline void mp_full_fence(void) {
#if defined(__x86_64__)
    // What any locked instruction does; half as long as MFENCE, which __atomic_thread_fence becomes.
    __asm__ volatile("lock; orl $0, -64(%%rsp)" : : : "memory", "cc");
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

// Tells the processor that this is a loop that waits for memory to change.
static inline void mp_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

struct mp_futex {
    const uint32_t *word;
    uint32_t expected;
};

// Waits as mp_futex_wait does, on at most MP_FUTEXES words at once: until any differs from what is expected of it, or is woken. Kernels before 5.16 cannot; there it returns
// EINTR after `look_ns`, and only the first word wakes it before.
#define MP_FUTEXES 6
int mp_futex_wait_any(const struct mp_futex *futexes, size_t count, int64_t deadline_ns, int64_t look_ns);

// Moves at most `count` of those who wait for `*word`, while it is `expected`, to wait for `*target` instead. Returns how many there were, -1 with errno.
int mp_futex_requeue(uint32_t *word, uint32_t expected, int count, uint32_t *target);

// Sets `bits` in `*word` and wakes every waiter, in one step that no signal can divide.
int mp_futex_set_bits_and_wake_all(uint32_t *word, uint32_t bits);

// Adds `amount` (below 2,048) to `*word` and wakes every waiter, in one step that no signal can divide.
int mp_futex_add_and_wake_all(uint32_t *word, uint32_t amount);

// Stores 0 in `*word` and wakes at most `count` waiters, in one step that no signal can divide.
int mp_futex_clear_and_wake(uint32_t *word, int count);

#endif
