// SPDX-License-Identifier: Apache-2.0
//
// Children that their parent lets go on step by step (ptrace(2)), to stop or kill them at an exact point.

#define _GNU_SOURCE
#include "CLaboratory.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

int laboratory_stop_for_parent(void) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) return -1;
    return raise(SIGSTOP);
}

int laboratory_wait_for_stop(int pid) {
    int status;
    while (waitpid(pid, &status, 0) != pid)
        if (errno != EINTR) return -1;
    return status;
}

int laboratory_begin_step(int pid) { return (int)ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL); }

int laboratory_look_for_stop(int pid) {
    int status;
    int found = waitpid(pid, &status, WNOHANG);
    return found == pid ? status : found == 0 || errno == EINTR ? -2 : -1;
}

int laboratory_begin_to_call(int pid) {
    // Without it PTRACE_GET_SYSCALL_INFO does not tell.
    if (ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD) != 0) return -1;
    return (int)ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
}

int laboratory_continue_to_call(int pid) {
    return laboratory_begin_to_call(pid) != 0 ? -1 : laboratory_wait_for_stop(pid);
}

bool laboratory_can_step(void) {
    int pid = fork();
    if (pid == 0) {
        if (laboratory_stop_for_parent() != 0) _exit(1);
        getppid();
        _exit(0);
    }
    int status = pid < 0 ? 0 : laboratory_wait_for_stop(pid);
    bool can = false;
    if (pid > 0 && WIFSTOPPED(status)) {
        struct __ptrace_syscall_info call;
        can = laboratory_begin_step(pid) == 0 && WIFSTOPPED(laboratory_wait_for_stop(pid))
            && laboratory_begin_to_call(pid) == 0 && WIFSTOPPED(laboratory_wait_for_stop(pid))
            && ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof call, &call) > 0;
        kill(pid, SIGKILL);
        laboratory_wait_for_stop(pid);
    }
    return can;
}

int laboratory_let_go(int pid) { return (int)ptrace(PTRACE_DETACH, pid, NULL, NULL); }

bool laboratory_is_about_to_sleep(int pid, const void *address) {
    struct __ptrace_syscall_info call;
    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof call, &call) <= 0 || call.op != PTRACE_SYSCALL_INFO_ENTRY) return false;
    if (call.entry.nr == SYS_futex) {
        int operation = (int)call.entry.args[1] & FUTEX_CMD_MASK;
        return (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET) && call.entry.args[0] == (uintptr_t)address;
    }
    if (call.entry.nr != SYS_futex_waitv) return false;
    struct { uint64_t value, address; uint32_t flags, reserved; } waits[16];
    size_t size = (call.entry.args[1] < 16 ? call.entry.args[1] : 16) * sizeof waits[0];
    struct iovec here = {waits, size}, there = {(void *)(uintptr_t)call.entry.args[0], size};
    if (process_vm_readv(pid, &here, 1, &there, 1, 0) != (ssize_t)size) return false;
    for (size_t i = 0; i < size / sizeof waits[0]; i++)
        if (waits[i].address == (uintptr_t)address) return true;
    return false;
}
