// SPDX-License-Identifier: Apache-2.0
//
// Many bytes to another process or back: one copy into shared memory that has been used before, where the other side reads them; and a map, whose numbers are copied in, squared in place and copied out.

#include "limits.h"
#include "words.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { large = 256 << 20, numbers = 2000000, workers = 2 };

static const uint32_t is_over = UINT32_MAX;

struct transfer {
    struct word asked[workers], answered[workers];
    uint32_t turn;
    char *own;
    char *shared;
};

static char *make_bytes(size_t size) {
    char *bytes = malloc(size);
    if (bytes == NULL) fail("malloc");
    return memset(bytes, 7, size);
}

// Has the workers do their part, and waits for them.
static void ask(struct transfer *transfer) {
    transfer->turn++;
    for (int worker = 0; worker < workers; worker++) set(&transfer->asked[worker], transfer->turn);
    for (int worker = 0; worker < workers; worker++) {
        if (transfer->answered[worker].value != transfer->turn) await_change(&transfer->answered[worker], transfer->turn - 1);
    }
}

// Starts a worker that does its part each time it is asked. Returns its pid.
static int start(struct transfer *transfer, int worker, void (*part)(struct transfer *transfer, int worker)) {
    int pid = fork_child();
    if (pid != 0) return pid;
    uint32_t turn = 0;
    while ((turn = await_change(&transfer->asked[worker], turn)) != is_over) {
        part(transfer, worker);
        set(&transfer->answered[worker], turn);
    }
    _exit(0);
}

static void measure_with(
    const struct request *request, struct samples *samples, size_t size, void (*part)(struct transfer *, int), void (*operation)(void *)
) {
    struct transfer *transfer = shared_memory(sizeof *transfer);
    transfer->shared = shared_memory(size);
    transfer->own = make_bytes(size);
    int pids[workers];
    for (int worker = 0; worker < workers; worker++) pids[worker] = start(transfer, worker, part);
    sample_times(samples, request->budget, 1, 0, operation, transfer);
    for (int worker = 0; worker < workers; worker++) set(&transfer->asked[worker], is_over);
    for (int worker = 0; worker < workers; worker++) wait_for_child(pids[worker]);
}

static void return_bytes(struct transfer *transfer, int worker) {
    if (worker == 0) memcpy(transfer->shared, transfer->own, large);
}

static void get_bytes(void *context) { ask(context); }

static void take_bytes(struct transfer *transfer, int worker) {
    volatile char *last = transfer->shared + large - 1;
    if (worker == 0) (void)*last;
}

static void give_bytes(void *context) {
    struct transfer *transfer = context;
    memcpy(transfer->shared, transfer->own, large);
    ask(transfer);
}

static void square(struct transfer *transfer, int worker) {
    int64_t *mine = (int64_t *)transfer->shared + worker * (numbers / workers);
    for (int index = 0; index < numbers / workers; index++) mine[index] *= mine[index];
}

static void map(void *context) {
    struct transfer *transfer = context;
    memcpy(transfer->shared, transfer->own, numbers * sizeof(int64_t));
    ask(transfer);
    memcpy(transfer->own, transfer->shared, numbers * sizeof(int64_t));
}

static void measure_result(const struct request *request, struct samples *samples) {
    measure_with(request, samples, large, return_bytes, get_bytes);
}

static void measure_argument(const struct request *request, struct samples *samples) {
    measure_with(request, samples, large, take_bytes, give_bytes);
}

static void measure_map(const struct request *request, struct samples *samples) {
    measure_with(request, samples, numbers * sizeof(int64_t), square, map);
    for (size_t index = 0; index < samples->count; index++) samples->values[index] = numbers / samples->values[index] * 1e9;
}

const struct metric bulk_metrics[] = {
    {"result.256MiB", "ns", measure_result},
    {"argument.256MiB", "ns", measure_argument},
    {"map.default.rate", "1/s", measure_map},
    {NULL, NULL, NULL},
};
