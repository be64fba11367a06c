// SPDX-License-Identifier: Apache-2.0
//
// Forked processes that compute and do nothing else: what the processors of this machine can do at once.

#include "limits.h"

#include <unistd.h>

enum { items = 96 };

// As in the Swift program.
static uint64_t compute(uint64_t seed) {
    uint64_t state = seed | 1;
    for (int i = 0; i < 200000; i++) state = (state ^ (state >> 29)) * 6364136223846793005u + 1;
    return state;
}

// Does every `step`th piece of work from the `first` one on.
static void work(int first, int step) {
    volatile uint64_t sum = 0;
    for (int item = first; item < items; item += step) sum += compute(item);
}

static double time_alone(void) {
    int64_t start = now();
    work(0, 1);
    return now() - start;
}

static double time_together(int workers) {
    int pids[8];
    int64_t start = now();
    for (int worker = 0; worker < workers; worker++) {
        pids[worker] = fork_child();
        if (pids[worker] != 0) continue;
        work(worker, workers);
        _exit(0);
    }
    for (int worker = 0; worker < workers; worker++) wait_for_child(pids[worker]);
    return now() - start;
}

static void scale(const struct request *request, struct samples *samples, int workers) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int most = workers < processors ? workers : processors;
    time_together(workers);
    int64_t end = now() + request->budget;
    do {
        double alone = time_alone();
        add_sample(samples, alone / most / time_together(workers));
    } while (now() < end || samples->count < 2);
}

static void measure_1(const struct request *request, struct samples *samples) { scale(request, samples, 1); }
static void measure_2(const struct request *request, struct samples *samples) { scale(request, samples, 2); }
static void measure_4(const struct request *request, struct samples *samples) { scale(request, samples, 4); }
static void measure_8(const struct request *request, struct samples *samples) { scale(request, samples, 8); }

const struct metric scaling_metrics[] = {
    {"scaling.1", "of 1", measure_1},
    {"scaling.2", "of 1", measure_2},
    {"scaling.4", "of 1", measure_4},
    {"scaling.8", "of 1", measure_8},
    {NULL, NULL, NULL},
};
