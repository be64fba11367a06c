// SPDX-License-Identifier: Apache-2.0
//
// Copies of this process. See CMultiprocessing.h.

#define _GNU_SOURCE
#include "CMultiprocessing.h"
#include "heldlocks.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t mp_fork(void) { return fork(); }

// What the copy has found; zeros where it was killed before it had.
static struct mp_held_lock read_finding(int fd) {
    struct mp_held_lock held;
    ssize_t size;
    do size = read(fd, &held, sizeof held);
    while (size < 0 && errno == EINTR);
    return size == sizeof held ? held : (struct mp_held_lock){0, 0};
}

pid_t mp_fork_between_locks(const struct mp_held_lock *known, size_t count, struct mp_held_lock *held) {
    static struct surroundings surroundings;
    *held = (struct mp_held_lock){0, 0};
    int ends[2], error = note_surroundings(&surroundings);
    if (error == 0 && surroundings.thread_count == 0) return fork();
    if (error == 0 && pipe2(ends, O_CLOEXEC) < 0) error = errno;
    if (error != 0) {
        errno = error;
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        // In the parent everything changes all the time, here nothing does.
        struct mp_held_lock found = find_held_lock(&surroundings, known, count);
        // A parent that is gone watches over nobody.
        if (write(ends[1], &found, sizeof found) != sizeof found || found.address != 0) _exit(0);
        close(ends[0]);
        close(ends[1]);
        return 0;
    }
    error = errno;
    close(ends[1]);
    if (pid > 0) *held = read_finding(ends[0]);
    close(ends[0]);
    if (held->address != 0) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
        pid = MP_LOCK_HELD;
    }
    errno = error;
    return pid;
}
