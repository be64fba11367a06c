// SPDX-License-Identifier: Apache-2.0

// For `environ`.
#define _GNU_SOURCE

#include "limits.h"

#include <errno.h>
#include <spawn.h>
#include <unistd.h>

static const int64_t pause_for_spares = 3000000;

static void fork_exit_wait(void *context) {
    (void)context;
    int pid = fork_child();
    if (pid == 0) _exit(0);
    wait_for_child(pid);
}

static void spawn_and_wait(void *context) {
    const struct request *request = context;
    char *arguments[] = {(char *)request->executable, "--nothing", NULL};
    pid_t pid;
    errno = posix_spawn(&pid, request->executable, NULL, NULL, arguments, environ);
    if (errno != 0) fail(request->executable);
    wait_for_child(pid);
}

static void spawn_and_fork(void *context) {
    spawn_and_wait(context);
    fork_exit_wait(NULL);
}

static void measure_fork(const struct request *request, struct samples *samples) {
    sample_times(samples, request->budget, 1, 0, fork_exit_wait, NULL);
}

// A pause lets the processors go to sleep, which is part of what a start costs then.
static void measure_fork_after_pause(const struct request *request, struct samples *samples) {
    sample_times(samples, request->budget, 1, pause_for_spares, fork_exit_wait, NULL);
}

static void measure_spawn(const struct request *request, struct samples *samples) {
    sample_times(samples, request->budget, 1, 0, spawn_and_wait, (void *)request);
}

// What a first child costs at least: the server's exec, and one fork.
static void measure_cold(const struct request *request, struct samples *samples) {
    sample_times(samples, 0, 1, 0, spawn_and_fork, (void *)request);
}

const struct metric start_metrics[] = {
    {"start.join.forkserver", "ns", measure_fork},
    {"start.join.forkserver.spare", "ns", measure_fork_after_pause},
    {"start.join.fork", "ns", measure_fork},
    {"start.join.spawn", "ns", measure_spawn},
    {"start.cold", "ns", measure_cold},
    {NULL, NULL, NULL},
};
