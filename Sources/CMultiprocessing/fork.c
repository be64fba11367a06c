// SPDX-License-Identifier: Apache-2.0
//
// Copies of this process. See CMultiprocessing.h.

#define _GNU_SOURCE
#include "CMultiprocessing.h"
#include "heldlocks.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// How long a copy may take to look, in milliseconds: it may have been stopped, by a debugger for one.
#define LONGEST_LOOK 5000

pid_t mp_fork(void) { return fork(); }

// What a copy tells its parent.
struct report {
    size_t count;
    struct mp_held_lock held[MP_HELD_LOCKS];
};

// The copy's side: ends unless no lock is held, or nobody listens any more.
static void look_around(int fd, const struct surroundings *parent, const struct mp_held_lock *known, size_t count) {
    // In the parent everything changes all the time, here nothing does.
    struct report report = {0};
    report.count = find_held_locks(parent, known, count, report.held);
    ssize_t size = send(fd, &report, sizeof report, MSG_NOSIGNAL);
    if (size == sizeof report && report.count > 0) _exit(0);
}

// The parent's side. Nothing was found by a copy that was killed before, or that takes too long: that one goes on as it is.
static size_t hear(int fd, struct mp_held_lock *held) {
    struct report report;
    struct pollfd entry = {.fd = fd, .events = POLLIN};
    int ready;
    do ready = poll(&entry, 1, LONGEST_LOOK);
    while (ready < 0 && errno == EINTR);
    // From here on it cannot say anything any more, and knows that.
    if (ready == 0) shutdown(fd, SHUT_RD);
    if (recv(fd, &report, sizeof report, MSG_DONTWAIT) != sizeof report) return 0;
    for (size_t i = 0; i < report.count; i++) held[i] = report.held[i];
    return report.count;
}

pid_t mp_fork_between_locks(
    const struct mp_held_lock *known, size_t count, struct mp_held_lock *held, size_t *held_count
) {
    static struct surroundings surroundings;
    *held_count = 0;
    int ends[2], error = note_surroundings(&surroundings);
    if (error == 0 && surroundings.thread_count == 0) return fork();
    if (error == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) error = errno;
    if (error != 0) {
        errno = error;
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        look_around(ends[1], &surroundings, known, count);
        close(ends[1]);
        return 0;
    }
    error = errno;
    close(ends[1]);
    if (pid > 0) *held_count = hear(ends[0], held);
    close(ends[0]);
    if (*held_count > 0) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
        pid = MP_LOCK_HELD;
    }
    errno = error;
    return pid;
}
