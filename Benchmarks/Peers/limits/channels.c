// SPDX-License-Identifier: Apache-2.0
//
// Messages between two processes: a mailbox for each direction and a ring, in shared memory, with words that are watched for a while before the kernel is asked to wait. Each message is copied
// in and out again, between addresses that lie well. No death is survived.

#include "limits.h"
#include "words.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { largest = 1 << 20, ring_size = 1 << 18, line = 64, rest_between_calls = 2000000 };

// MARK: - There and back

struct mailbox {
    struct word turn;
    uint32_t seen;
    _Alignas(line) char bytes[largest];
};

struct conversation {
    struct mailbox *there, *back;
    size_t size;
    char *own;
    uint32_t (*await)(struct word *word, uint32_t old);
};

static char *make_own(size_t size) {
    size_t whole = (size + line - 1) / line * line;
    char *own = aligned_alloc(line, whole);
    if (own == NULL) fail("aligned_alloc");
    return memset(own, 7, whole);
}

static void say(struct mailbox *box, const char *bytes, size_t size) {
    memcpy(box->bytes, bytes, size);
    set(&box->turn, box->turn.value + 1);
}

static void hear(struct conversation *talk, struct mailbox *box) {
    box->seen = talk->await(&box->turn, box->seen);
    memcpy(talk->own, box->bytes, talk->size);
}

static void there_and_back(void *context) {
    struct conversation *talk = context;
    say(talk->there, talk->own, talk->size);
    hear(talk, talk->back);
}

// `rest`: the nanoseconds before each sample; those who rest do not watch either.
static void converse(const struct request *request, struct samples *samples, size_t size, int batch, int64_t rest) {
    struct conversation talk = {
        .await = rest > 0 ? await_change_asleep : await_change,
        .there = shared_memory(sizeof(struct mailbox)),
        .back = shared_memory(sizeof(struct mailbox)),
        .size = size,
        .own = make_own(size),
    };
    int *is_over = shared_memory(sizeof(int));
    int pid = fork_child();
    if (pid == 0) {
        while (1) {
            hear(&talk, talk.there);
            if (__atomic_load_n(is_over, __ATOMIC_SEQ_CST)) _exit(0);
            say(talk.back, talk.own, size);
        }
    }
    sample_times(samples, request->budget, batch, rest, there_and_back, &talk);
    __atomic_store_n(is_over, 1, __ATOMIC_SEQ_CST);
    say(talk.there, talk.own, size);
    wait_for_child(pid);
}

static void measure_8(const struct request *request, struct samples *samples) { converse(request, samples, 8, 100, 0); }
static void measure_65536(const struct request *request, struct samples *samples) { converse(request, samples, 65536, 10, 0); }
static void measure_1048576(const struct request *request, struct samples *samples) { converse(request, samples, 1048576, 1, 0); }
// What a call needs at least: which function, and a number.
static void measure_call(const struct request *request, struct samples *samples) { converse(request, samples, 32, 1, 0); }
static void measure_calls(const struct request *request, struct samples *samples) { converse(request, samples, 32, 10, 0); }
static void measure_blocked(const struct request *request, struct samples *samples) { converse(request, samples, 32, 1, rest_between_calls); }

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
    char *own = make_own(size);
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
    {"call.roundtrip", "ns", measure_call},
    {"call.roundtrip.pinned", "ns", measure_call},
    {"call.roundtrip.blocked", "ns", measure_blocked},
    {"manager.append", "ns", measure_calls},
    {"queue.rate.8", "1/s", rate_8},
    {"queue.rate.1024", "1/s", rate_1024},
    {"queue.rate.65536", "1/s", rate_65536},
    {NULL, NULL, NULL},
};
