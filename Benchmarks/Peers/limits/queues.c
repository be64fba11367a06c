// SPDX-License-Identifier: Apache-2.0
//
// Messages of 8 bytes from several processes to several: the bounded queue of Dmitry Vyukov, whose slots each have a sequence number, in shared memory. Who finds no slot looks again, and lets others
// run after a while; nobody sleeps, and no death is survived.

#include "limits.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { slots = 4096, looks = 200, producers = 2, consumers = 2, most = 200000 };

struct slot {
    uint64_t sequence, value;
};

struct queue {
    _Alignas(128) uint64_t tail;
    _Alignas(128) uint64_t head;
    _Alignas(128) struct slot slots[slots];
};

// Where the processes of a run meet before and after each round.
struct line {
    _Alignas(128) uint32_t round;
    _Alignas(128) uint32_t done;
};

static void look_again(int *count) {
    __builtin_ia32_pause();
    if (++*count % looks == 0) sched_yield();
}

// Claims the next place at `*position` once its slot has the sequence number `position + lead`, and returns the place.
static uint64_t claim(struct queue *queue, uint64_t *position, uint64_t lead) {
    int count = 0;
    uint64_t place = __atomic_load_n(position, __ATOMIC_RELAXED);
    while (1) {
        int64_t ahead = (int64_t)(__atomic_load_n(&queue->slots[place % slots].sequence, __ATOMIC_ACQUIRE) - (place + lead));
        if (ahead == 0 && __atomic_compare_exchange_n(position, &place, place + 1, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return place;
        if (ahead == 0) continue;
        if (ahead < 0) look_again(&count);
        place = __atomic_load_n(position, __ATOMIC_RELAXED);
    }
}

static void work(struct queue *queue, struct line *line, int is_producer) {
    uint32_t count = most / (is_producer ? producers : consumers);
    for (uint32_t round = 1;; round++) {
        int waited = 0;
        while (__atomic_load_n(&line->round, __ATOMIC_ACQUIRE) < round) look_again(&waited);
        for (uint32_t i = 0; i < count; i++) {
            if (is_producer) {
                uint64_t place = claim(queue, &queue->tail, 0);
                queue->slots[place % slots].value = i;
                __atomic_store_n(&queue->slots[place % slots].sequence, place + 1, __ATOMIC_RELEASE);
            } else {
                uint64_t place = claim(queue, &queue->head, 1);
                volatile uint64_t value = queue->slots[place % slots].value;
                (void)value;
                __atomic_store_n(&queue->slots[place % slots].sequence, place + slots, __ATOMIC_RELEASE);
            }
        }
        __atomic_add_fetch(&line->done, 1, __ATOMIC_ACQ_REL);
    }
}

static void measure_2p2c(const struct request *request, struct samples *samples) {
    struct queue *queue = shared_memory(sizeof *queue);
    struct line *line = shared_memory(sizeof *line);
    for (uint64_t i = 0; i < slots; i++) queue->slots[i].sequence = i;
    int pids[producers + consumers];
    for (int i = 0; i < producers + consumers; i++) {
        pids[i] = fork_child();
        if (pids[i] == 0) work(queue, line, i < producers);
    }
    int64_t end = now() + request->budget;
    do {
        __atomic_store_n(&line->done, 0, __ATOMIC_RELEASE);
        int64_t begin = now();
        __atomic_add_fetch(&line->round, 1, __ATOMIC_ACQ_REL);
        // Asleep: there are as many at work as processors, or more.
        while (__atomic_load_n(&line->done, __ATOMIC_ACQUIRE) < producers + consumers) sleep_until(now() + 50000);
        add_sample(samples, (double)most / (now() - begin) * 1e9);
    } while (now() < end || samples->count < 5);
    for (int i = 0; i < producers + consumers; i++) kill(pids[i], SIGKILL);
}

const struct metric queue_metrics[] = {
    {"queue.rate.2p2c.8", "1/s", measure_2p2c},
    {NULL, NULL, NULL},
};
