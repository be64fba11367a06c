// SPDX-License-Identifier: Apache-2.0

#include "limits.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { count = 8 };

// Returns the bytes that a line of smaps_rollup tells of a process.
static int64_t memory_use(int pid, const char *field) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) fail(path);
    long long kibibytes = -1;
    size_t length = strlen(field);
    while (kibibytes < 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, field, length) == 0 && line[length] == ':') sscanf(line + length + 1, "%lld", &kibibytes);
    }
    fclose(file);
    errno = ENODATA;
    if (kibibytes < 0) fail(path);
    return kibibytes * 1024;
}

// Stores the bytes for each of several idle children: of all memory, and of pages that only the child has.
static void measure_children(double *proportional, double *own) {
    _Atomic int *ready = shared_memory(sizeof *ready);
    int64_t before = memory_use(getpid(), "Pss"), after = 0, private = 0;
    int pids[count];
    for (int index = 0; index < count; index++) {
        pids[index] = fork_child();
        if (pids[index] != 0) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        atomic_fetch_add(ready, 1);
        while (1) pause();
    }
    while (atomic_load(ready) < count) sleep_until(now() + 1000000);
    sleep_until(now() + 20000000);
    for (int index = 0; index < count; index++) {
        after += memory_use(pids[index], "Pss");
        private += memory_use(pids[index], "Private_Dirty") + memory_use(pids[index], "Private_Clean");
    }
    after += memory_use(getpid(), "Pss");
    for (int index = 0; index < count; index++) {
        kill(pids[index], SIGKILL);
        waitpid(pids[index], NULL, 0);
    }
    *proportional = (double)(after - before) / count;
    *own = (double)private / count;
}

static void measure_proportional(const struct request *request, struct samples *samples) {
    (void)request;
    double proportional, own;
    measure_children(&proportional, &own);
    add_sample(samples, proportional);
}

static void measure_private(const struct request *request, struct samples *samples) {
    (void)request;
    double proportional, own;
    measure_children(&proportional, &own);
    add_sample(samples, own);
}

const struct metric memory_metrics[] = {
    {"worker.memory", "B", measure_proportional},
    {"worker.memory.private", "B", measure_private},
    {NULL, NULL, NULL},
};
