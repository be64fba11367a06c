// SPDX-License-Identifier: Apache-2.0
//
// Messages between two processes: a mailbox for each direction and a ring, in shared memory, with words that are watched for a while before the kernel is asked to wait. Each message is copied
// in and out again. No death is survived.

#include "limits.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { largest = 1 << 20, ring_size = 1 << 18, looks = 2000 };

// A word that one process stores and the other one waits for.
struct word {
    _Alignas(128) uint32_t value;
    uint32_t sleeping;
};

static void set(struct word *word, uint32_t value) {
    __atomic_store_n(&word->value, value, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&word->sleeping, __ATOMIC_SEQ_CST) != 0) syscall(SYS_futex, &word->value, FUTEX_WAKE, 1, NULL, NULL, 0);
}

// Waits until the value is another than `old`, and returns it.
static uint32_t await_change(struct word *word, uint32_t old) {
    for (int look = 0; look < looks; look++) {
        uint32_t value = __atomic_load_n(&word->value, __ATOMIC_ACQUIRE);
        if (value != old) return value;
        __builtin_ia32_pause();
    }
    __atomic_store_n(&word->sleeping, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&word->value, __ATOMIC_SEQ_CST) == old) syscall(SYS_futex, &word->value, FUTEX_WAIT, old, NULL, NULL, 0);
    __atomic_store_n(&word->sleeping, 0, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&word->value, __ATOMIC_ACQUIRE);
}

// MARK: - There and back

struct mailbox {
    struct word turn;
    uint32_t seen;
    char bytes[largest];
};

struct conversation {
    struct mailbox *there, *back;
    size_t size;
    char *own;
};

static void say(struct mailbox *box, const char *bytes, size_t size) {
    memcpy(box->bytes, bytes, size);
    set(&box->turn, box->turn.value + 1);
}

static void hear(struct mailbox *box, char *bytes, size_t size) {
    box->seen = await_change(&box->turn, box->seen);
    memcpy(bytes, box->bytes, size);
}

static void there_and_back(void *context) {
    struct conversation *talk = context;
    say(talk->there, talk->own, talk->size);
    hear(talk->back, talk->own, talk->size);
}

static void round_trip(const struct request *request, struct samples *samples, size_t size, int batch) {
    struct conversation talk = {
        .there = shared_memory(sizeof(struct mailbox)),
        .back = shared_memory(sizeof(struct mailbox)),
        .size = size,
        .own = calloc(1, size),
    };
    int *is_over = shared_memory(sizeof(int));
    int pid = fork_child();
    if (pid == 0) {
        while (1) {
            hear(talk.there, talk.own, size);
            if (__atomic_load_n(is_over, __ATOMIC_SEQ_CST)) _exit(0);
            say(talk.back, talk.own, size);
        }
    }
    sample_times(samples, request->budget, batch, 0, there_and_back, &talk);
    __atomic_store_n(is_over, 1, __ATOMIC_SEQ_CST);
    say(talk.there, talk.own, size);
    wait_for_child(pid);
}

static void measure_8(const struct request *request, struct samples *samples) { round_trip(request, samples, 8, 100); }
static void measure_65536(const struct request *request, struct samples *samples) { round_trip(request, samples, 65536, 10); }
static void measure_1048576(const struct request *request, struct samples *samples) { round_trip(request, samples, 1048576, 1); }

// MARK: - One after another in one direction

// Slots of the same size; both positions count messages.
struct ring {
    struct word tail, head;
    _Alignas(128) char bytes[];
};

static void pass(struct ring *ring, size_t size, uint32_t count, int is_producer, char *own) {
    uint32_t slots = size * 1024 < ring_size ? 1024 : 16;
    uint32_t mine = is_producer ? ring->tail.value : ring->head.value;
    uint32_t other = is_producer ? ring->head.value : ring->tail.value;
    for (uint32_t i = 0; i < count; i++) {
        if (is_producer) {
            while (mine - other == slots) other = await_change(&ring->head, other);
            memcpy(ring->bytes + mine % slots * size, own, size);
            set(&ring->tail, ++mine);
        } else {
            while (mine == other) other = await_change(&ring->tail, other);
            memcpy(own, ring->bytes + mine % slots * size, size);
            set(&ring->head, ++mine);
        }
    }
}

static void rate(const struct request *request, struct samples *samples, size_t size, uint32_t count) {
    struct ring *ring = shared_memory(sizeof *ring + 1024 * size);
    struct word *start = shared_memory(sizeof *start);
    char *own = calloc(1, size);
    int pid = fork_child();
    if (pid == 0) {
        uint32_t round = 0;
        while ((round = await_change(start, round)) != UINT32_MAX) pass(ring, size, count, 1, own);
        _exit(0);
    }
    int64_t end = now() + request->budget;
    uint32_t round = 0;
    do {
        int64_t begin = now();
        set(start, ++round);
        pass(ring, size, count, 0, own);
        add_sample(samples, (double)count / (now() - begin) * 1e9);
    } while (now() < end || samples->count < 5);
    set(start, UINT32_MAX);
    wait_for_child(pid);
}

static void rate_8(const struct request *request, struct samples *samples) { rate(request, samples, 8, 200000); }
static void rate_1024(const struct request *request, struct samples *samples) { rate(request, samples, 1024, 100000); }
static void rate_65536(const struct request *request, struct samples *samples) { rate(request, samples, 65536, 4000); }

const struct metric channel_metrics[] = {
    {"pipe.roundtrip.8", "ns", measure_8},
    {"pipe.roundtrip.8.pinned", "ns", measure_8},
    {"pipe.roundtrip.65536", "ns", measure_65536},
    {"pipe.roundtrip.1048576", "ns", measure_1048576},
    {"queue.rate.8", "1/s", rate_8},
    {"queue.rate.1024", "1/s", rate_1024},
    {"queue.rate.65536", "1/s", rate_65536},
    {NULL, NULL, NULL},
};
