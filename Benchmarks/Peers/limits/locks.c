// SPDX-License-Identifier: Apache-2.0

#include "limits.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { batch = 1000, stride = 100, processes = 2 };
static const int64_t lead = 100000000;

// What the processes share.
struct shared {
    pthread_mutex_t mutex;
    _Alignas(128) int64_t value;
    struct {
        _Alignas(128) int64_t count;
    } each[processes];
};

static struct shared *make_shared(void) {
    struct shared *shared = shared_memory(sizeof *shared);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    errno = pthread_mutex_init(&shared->mutex, &attributes);
    if (errno != 0) fail("pthread_mutex_init");
    return shared;
}

static void lock_and_unlock(void *context) {
    struct shared *shared = context;
    pthread_mutex_lock(&shared->mutex);
    pthread_mutex_unlock(&shared->mutex);
}

static void increment(void *context) {
    struct shared *shared = context;
    pthread_mutex_lock(&shared->mutex);
    // Volatile, so that it is written each time.
    *(volatile int64_t *)&shared->value += 1;
    pthread_mutex_unlock(&shared->mutex);
}

// Has two processes do the same at the same time. Returns how often they did it together.
static int64_t race(struct shared *shared, int64_t duration, void (*operation)(void *)) {
    int64_t start = now() + lead, end = start + duration;
    int pids[processes];
    for (int index = 0; index < processes; index++) {
        pids[index] = fork_child();
        if (pids[index] != 0) continue;
        sleep_until(start);
        int64_t count = 0;
        while (now() < end) {
            for (int i = 0; i < stride; i++) operation(shared);
            count += stride;
        }
        shared->each[index].count = count;
        _exit(0);
    }
    int64_t count = 0;
    for (int index = 0; index < processes; index++) {
        wait_for_child(pids[index]);
        count += shared->each[index].count;
    }
    return count;
}

static void measure_uncontended(const struct request *request, struct samples *samples) {
    sample_times(samples, request->budget, batch, 0, lock_and_unlock, make_shared());
}

static void measure_contended(const struct request *request, struct samples *samples) {
    add_sample(samples, (double)request->budget / race(make_shared(), request->budget, lock_and_unlock));
}

static void measure_increment(const struct request *request, struct samples *samples) {
    struct shared *shared = make_shared();
    int64_t count = race(shared, request->budget, increment);
    if (shared->value != count) {
        fprintf(stderr, "LimitsPeer: %lld increments gave %lld\n", (long long)count, (long long)shared->value);
        exit(1);
    }
    add_sample(samples, (double)request->budget / count);
}

const struct metric lock_metrics[] = {
    {"lock.uncontended", "ns", measure_uncontended},
    {"lock.contended.2", "ns", measure_contended},
    {"value.increment.2", "ns", measure_increment},
    {NULL, NULL, NULL},
};
