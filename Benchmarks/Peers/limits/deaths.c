// SPDX-License-Identifier: Apache-2.0
//
// What the kernel needs to end a process, and to end those whose parent is killed.

#include "limits.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

// As many as the other programs have: two workers, two daemons, a manager and a server.
enum { children = 6 };

static void measure_detect(const struct request *request, struct samples *samples) {
    int64_t end = now() + request->budget;
    do {
        int pid = fork_child();
        while (pid == 0) pause();
        // It is in `pause` by then.
        sleep_until(now() + 500000);
        int64_t start = now();
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        add_sample(samples, now() - start);
    } while (now() < end || samples->count < 5);
}

static void live(int ready) {
    for (int index = 0; index < children; index++) {
        if (fork_child() != 0) continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (write(ready, "", 1) != 1) _exit(1);
        while (1) pause();
    }
    while (1) pause();
}

static void measure_parent(const struct request *request, struct samples *samples) {
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) fail("prctl");
    int64_t end = now() + request->budget;
    do {
        int ends[2];
        if (pipe(ends) != 0) fail("pipe");
        int pid = fork_child();
        if (pid == 0) live(ends[1]);
        char byte;
        for (int index = 0; index < children; index++) {
            if (read(ends[0], &byte, 1) != 1) fail("read");
        }
        int64_t start = now();
        kill(pid, SIGKILL);
        while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {}
        add_sample(samples, now() - start);
        close(ends[0]);
        close(ends[1]);
    } while (now() < end || samples->count < 5);
}

const struct metric death_metrics[] = {
    {"crash.detect", "ns", measure_detect},
    {"parent.killed", "ns", measure_parent},
    {NULL, NULL, NULL},
};
