// SPDX-License-Identifier: Apache-2.0

#include "limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// As in the other programs.
enum { least_count = 2, minimum_count = 5, maximum_count = 5000, warm_up_count = 3, long_factor = 4 };

int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void sleep_until(int64_t time) {
    struct timespec target = {.tv_sec = time / 1000000000, .tv_nsec = time % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &target, NULL) == EINTR) {}
}

void fail(const char *what) {
    fprintf(stderr, "LimitsPeer: %s: %s\n", what, strerror(errno));
    exit(1);
}

void *shared_memory(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    return memory;
}

int fork_child(void) {
    pid_t pid = fork();
    if (pid < 0) fail("fork");
    return pid;
}

void wait_for_child(int pid) {
    int status;
    if (waitpid(pid, &status, 0) < 0) fail("waitpid");
    if (status != 0) {
        fprintf(stderr, "LimitsPeer: a child ended with status %d\n", status);
        exit(1);
    }
}

void add_sample(struct samples *samples, double value) {
    if (samples->values == NULL) {
        samples->values = malloc(maximum_count * sizeof *samples->values);
        if (samples->values == NULL) fail("malloc");
    }
    if (samples->count < maximum_count) samples->values[samples->count++] = value;
}

// Whether to go on after so many samples in so many nanoseconds.
static int wants_more(size_t count, int64_t spent, int64_t budget) {
    if (count < least_count) return 1;
    if (count < minimum_count) return spent < budget * long_factor;
    return spent < budget && count < maximum_count;
}

void sample_times(struct samples *samples, int64_t budget, int batch, int64_t pause, void (*operation)(void *context), void *context) {
    int64_t first = now();
    for (int i = 0; i < warm_up_count && (i == 0 || now() - first < budget); i++) operation(context);
    first = now();
    while (wants_more(samples->count, now() - first, budget)) {
        if (pause > 0) sleep_until(now() + pause);
        int64_t start = now();
        for (int i = 0; i < batch; i++) operation(context);
        add_sample(samples, (double)(now() - start) / batch);
    }
}

// Looks for a metric in all groups.
static const struct metric *find(const char *name) {
    const struct metric *groups[] = {start_metrics, copying_metrics, lock_metrics, wake_metrics, channel_metrics, queue_metrics, memory_metrics,
        bulk_metrics, scaling_metrics, death_metrics};
    for (size_t group = 0; group < sizeof groups / sizeof *groups; group++) {
        for (const struct metric *metric = groups[group]; metric->name != NULL; metric++) {
            if (strcmp(metric->name, name) == 0) return metric;
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: LimitsPeer METRIC SECONDS EXECUTABLE\n");
        return 2;
    }
    const struct metric *metric = find(argv[1]);
    if (metric == NULL) {
        fprintf(stderr, "LimitsPeer: no metric %s\n", argv[1]);
        return 2;
    }
    struct request request = {.budget = (int64_t)(strtod(argv[2], NULL) * 1e9), .executable = argv[3]};
    struct samples samples = {0};
    metric->measure(&request, &samples);
    printf("{\"metric\": \"%s\", \"unit\": \"%s\", \"samples\": [", metric->name, metric->unit);
    for (size_t i = 0; i < samples.count; i++) printf("%s%.9g", i == 0 ? "" : ", ", samples.values[i]);
    printf("]}\n");
    return 0;
}
