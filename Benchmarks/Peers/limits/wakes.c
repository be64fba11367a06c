// SPDX-License-Identifier: Apache-2.0

#include "limits.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { batch = 100 };

// Two words that two processes wake each other with.
struct words {
    _Alignas(128) _Atomic uint32_t there;
    _Alignas(128) _Atomic uint32_t back;
};

static void set(_Atomic uint32_t *word) {
    atomic_store(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

// Waits until the word is set, and clears it.
static void await(_Atomic uint32_t *word) {
    while (atomic_load(word) == 0) syscall(SYS_futex, word, FUTEX_WAIT, 0, NULL, NULL, 0);
    atomic_store(word, 0);
}

static void round_trip(void *context) {
    struct words *words = context;
    set(&words->there);
    await(&words->back);
}

static void measure_wake(const struct request *request, struct samples *samples) {
    struct words *words = shared_memory(sizeof *words);
    int pid = fork_child();
    if (pid == 0) {
        while (1) {
            await(&words->there);
            set(&words->back);
        }
    }
    sample_times(samples, request->budget, batch, 0, round_trip, words);
    for (size_t i = 0; i < samples->count; i++) samples->values[i] /= 2;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

// A barrier of two, which is lost when one of them dies: how many have arrived, and how many times both had.
struct barrier {
    _Alignas(128) _Atomic uint32_t arrived;
    _Alignas(128) _Atomic uint32_t rounds;
};

static void arrive(struct barrier *barrier) {
    uint32_t round = atomic_load(&barrier->rounds);
    if (atomic_fetch_add(&barrier->arrived, 1) == 1) {
        atomic_store(&barrier->arrived, 0);
        atomic_store(&barrier->rounds, round + 1);
        syscall(SYS_futex, &barrier->rounds, FUTEX_WAKE, 1, NULL, NULL, 0);
        return;
    }
    while (atomic_load(&barrier->rounds) == round) syscall(SYS_futex, &barrier->rounds, FUTEX_WAIT, round, NULL, NULL, 0);
}

static void two_rounds(void *context) {
    for (int i = 0; i < 2; i++) arrive(context);
}

// As above, for two rounds instead of there and back: on one processor the one who is woken runs at once, arrives and sleeps, so that a round switches there and back.
static void measure_barrier(const struct request *request, struct samples *samples) {
    struct barrier *barrier = shared_memory(sizeof *barrier);
    int pid = fork_child();
    if (pid == 0) {
        while (1) arrive(barrier);
    }
    sample_times(samples, request->budget, batch, 0, two_rounds, barrier);
    for (size_t i = 0; i < samples->count; i++) samples->values[i] /= 2;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

const struct metric wake_metrics[] = {
    {"wake.semaphore", "ns", measure_wake},
    {"wake.event", "ns", measure_wake},
    {"wake.condition", "ns", measure_wake},
    {"wake.barrier", "ns", measure_barrier},
    {"wake.semaphore.pinned", "ns", measure_wake},
    {"wake.event.pinned", "ns", measure_wake},
    {"wake.condition.pinned", "ns", measure_wake},
    {"wake.barrier.pinned", "ns", measure_barrier},
    {NULL, NULL, NULL},
};
