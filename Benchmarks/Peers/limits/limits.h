// SPDX-License-Identifier: Apache-2.0
//
// What the machine can do at all: the same work in C, with nothing between it and the kernel.
//
//   main.c     the command line and the line that is printed
//   start.c    fork, exec and wait
//   copying.c  memcpy
//   locks.c    a robust mutex in shared memory
//   wakes.c    a futex
//   memory.c   what a forked child costs
//   channels.c messages between two processes
//   queues.c   messages from several processes to several
//   bulk.c     many bytes at once
//   scaling.c  work on several processors
//   deaths.c   the end of processes
//   words.c    what channels.c and bulk.c wait with
//
// Called as: LimitsPeer METRIC SECONDS EXECUTABLE, where `EXECUTABLE --nothing` is a Swift program that ends at once.

#ifndef LIMITS_H
#define LIMITS_H

#include <stddef.h>
#include <stdint.h>

// What the command line asks for.
struct request {
    int64_t budget;          // nanoseconds to measure
    const char *executable;  // a Swift program
};

// Samples as they come, in nanoseconds or bytes.
struct samples {
    double *values;
    size_t count;
};

// Measures one metric. Ends the program when something fails.
typedef void measure(const struct request *request, struct samples *samples);

// A metric that this program knows.
struct metric {
    const char *name;
    const char *unit;
    measure *measure;
};

// The metrics of each file, up to one without a name.
extern const struct metric start_metrics[], copying_metrics[], lock_metrics[], wake_metrics[], channel_metrics[], queue_metrics[], memory_metrics[], bulk_metrics[],
    scaling_metrics[], death_metrics[];

// CLOCK_MONOTONIC in nanoseconds.
int64_t now(void);
void sleep_until(int64_t time);

void add_sample(struct samples *samples, double value);

// Does an operation again and again until the budget is used up, after a few that do not count; `batch` operations make a sample; before each is a pause.
void sample_times(struct samples *samples, int64_t budget, int batch, int64_t pause, void (*operation)(void *context), void *context);

// Ends the program with what failed and why.
_Noreturn void fail(const char *what);

// Shared memory for this process and its children, zeroed.
void *shared_memory(size_t size);

// fork, with failure handled.
int fork_child(void);
// Waits for a child, which must have ended well.
void wait_for_child(int pid);

#endif
