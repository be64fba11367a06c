// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "CLaboratory.h"

#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Thread_local uint32_t variable;

int laboratory_thread_id(void) { return (int)syscall(SYS_gettid); }

uint32_t *laboratory_thread_variable(void) { return &variable; }

static pthread_mutex_t zeros;
static pthread_mutex_t initialized = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static pthread_mutex_t *chosen(bool begins_as_zeros) { return begins_as_zeros ? &zeros : &initialized; }

void laboratory_lock(bool begins_as_zeros) { pthread_mutex_lock(chosen(begins_as_zeros)); }

void laboratory_unlock(bool begins_as_zeros) { pthread_mutex_unlock(chosen(begins_as_zeros)); }

uintptr_t laboratory_lock_address(bool begins_as_zeros) { return (uintptr_t)chosen(begins_as_zeros); }

static pthread_cond_t is_signaled = PTHREAD_COND_INITIALIZER;
static bool has_waiter, has_signal;

void laboratory_wait(bool begins_as_zeros) {
    pthread_mutex_lock(chosen(begins_as_zeros));
    has_waiter = true;
    while (!has_signal) pthread_cond_wait(&is_signaled, chosen(begins_as_zeros));
    pthread_mutex_unlock(chosen(begins_as_zeros));
}

bool laboratory_is_waited_for(bool begins_as_zeros) {
    pthread_mutex_lock(chosen(begins_as_zeros));
    bool result = has_waiter;
    pthread_mutex_unlock(chosen(begins_as_zeros));
    return result;
}

void laboratory_signal(bool begins_as_zeros) {
    pthread_mutex_lock(chosen(begins_as_zeros));
    has_signal = true;
    pthread_cond_signal(&is_signaled);
    pthread_mutex_unlock(chosen(begins_as_zeros));
}

static char pages[3 * 65536];

int laboratory_protect_page(bool is_protected) {
    size_t size = (size_t)getpagesize();
    // The first whole one is in there for any size up to 64 KiB.
    char *page = (char *)(((uintptr_t)pages + size - 1) / size * size);
    if (is_protected) page[0] = 1;
    return mprotect(page, size, is_protected ? PROT_NONE : PROT_READ | PROT_WRITE);
}

static int forks;

static void count_fork(void) { __atomic_add_fetch(&forks, 1, __ATOMIC_SEQ_CST); }

void laboratory_count_forks(void) { pthread_atfork(count_fork, NULL, NULL); }

int laboratory_forks(void) { return __atomic_load_n(&forks, __ATOMIC_SEQ_CST); }

int laboratory_use_one_processor(void) {
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all) != 0) return -1;
    for (int processor = 0; processor < CPU_SETSIZE; processor++) {
        if (!CPU_ISSET(processor, &all)) continue;
        CPU_ZERO(&one);
        CPU_SET(processor, &one);
        return sched_setaffinity(0, sizeof one, &one);
    }
    return -1;
}

// For a thread, where nice(2) would be for the process: "C library/kernel differences" in setpriority(2).
int laboratory_prefer_others(void) { return setpriority(PRIO_PROCESS, 0, 10); }

void laboratory_sleep(long nanoseconds) {
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    nanosleep(&(struct timespec){.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000}, NULL);
}

void laboratory_say(const char *words) { fputs(words, stderr); }

static void end_this_thread(int signal) { syscall(SYS_exit, signal); }

int laboratory_end_thread(int thread) {
    // No thread can block what the C library sends its threads itself (SIGSETXID in nptl(7)). It lets nobody set a handler either: the kernel's own structure, with SA_RESTORER, though nothing returns.
    struct { void (*handler)(int); unsigned long flags; void (*restorer)(int); uint64_t mask; } action = {end_this_thread, 0x04000000, end_this_thread, 0};
    if (syscall(SYS_rt_sigaction, 33, &action, NULL, sizeof action.mask) != 0 || syscall(SYS_tgkill, getpid(), thread, 33) != 0) return -1;
    while (syscall(SYS_tgkill, getpid(), thread, 0) == 0) sched_yield();
    return 0;
}

int laboratory_die_at_wake(void) {
    struct sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 4),
        // The low half of the operation, on a little-endian machine.
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (uint32_t)FUTEX_CMD_MASK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAKE, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAKE_OP, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {.len = sizeof instructions / sizeof instructions[0], .filter = instructions};
    // No file of memory for each.
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}
