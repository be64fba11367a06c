// SPDX-License-Identifier: Apache-2.0
//
// System calls and C library functions that the Glibc module lacks or Swift cannot call, each as thin as it can be.

#define _GNU_SOURCE
#include "CMultiprocessing.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

// MARK: - Processes

// The environment of now with the marker for descriptor 3 added; one block to free. NULL when memory is short.
static char **marked_environment(void) {
    size_t count = 0;
    while (environ != NULL && environ[count] != NULL) count++;
    char **block = malloc((count + 3) * sizeof(char *));
    if (block == NULL) return NULL;
    size_t used = 0;
    char *entry;
    // Another thread may have taken variables away since they were counted.
    for (size_t i = 0; i < count && (entry = environ[i]) != NULL; i++)
        if (strncmp(entry, MP_MARKER "=", sizeof MP_MARKER) != 0) block[used++] = entry;
    block[used++] = MP_MARKER "=3";
    // A crash is reported to the parent; the runtime's own report would hold the process up for half a second. Whoever wants it sets the variable.
    if (getenv("SWIFT_BACKTRACE") == NULL) block[used++] = "SWIFT_BACKTRACE=enable=no";
    block[used] = NULL;
    return block;
}

int mp_spawn_self(char *const *arguments, int socket_fd, pid_t *pid) {
    char **environment = marked_environment();
    if (environment == NULL) return ENOMEM;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    // dup2 also clears close-on-exec when both numbers are equal (posix_spawn, glibc 2.29).
    int error = posix_spawn_file_actions_adddup2(&actions, socket_fd, 3);
#if __GLIBC_PREREQ(2, 34)
    // Descriptors that other code of this program opened without close-on-exec, too, must not reach the new process.
    if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(&actions, 4);
#endif
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    // The link names the running executable even after the file was deleted or replaced.
    if (error == 0) error = posix_spawn(pid, "/proc/self/exe", &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free(environment);
    return error;
}

int mp_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int mp_pidfd_send_signal(int pidfd, int signal) { return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0); }

int mp_wait_readable_or_child(int fd, int timeout_ms) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    sigdelset(&mask, SIGCHLD);
    return ppoll(&wait, fd >= 0 ? 1 : 0, timeout_ms < 0 ? NULL : &timeout, &mask) > 0 ? 1 : 0;
}

int mp_die_with_parent(void) { return prctl(PR_SET_PDEATHSIG, SIGKILL); }

int mp_replace_environment(const char *strings, size_t count) {
    size_t size = 0;
    for (size_t i = 0; i < count; i++) size += strlen(strings + size) + 1;
    char **block = malloc((count + 1) * sizeof(char *) + size);
    if (block == NULL) return -1;
    char *copy = memcpy((char *)(block + count + 1), strings, size);
    for (size_t i = 0; i < count; i++) {
        block[i] = copy;
        copy += strlen(copy) + 1;
    }
    block[count] = NULL;
    // Not freed ever: getenv hands out pointers into it.
    environ = block;
    return 0;
}

char *const *mp_environment(void) { return environ; }

int mp_set_thread_name(const char *name) { return prctl(PR_SET_NAME, name); }

// Filled in by the loader at the start. Called by its name it would be looked for at its first call, as every function is: in each child anew, through all libraries.
static void (*const volatile exit_function)(int) = exit;

void mp_exit(int status) {
    exit_function(status);
    __builtin_unreachable();
}

bool mp_is_alone(const int *known, size_t count) {
    if (!__libc_single_threaded) return false;
    struct robust_list_head *list = NULL;
    size_t size = 0;
    if (syscall(SYS_get_robust_list, 0, &list, &size) < 0 || list == NULL || list->list.next != &list->list) return false;
    struct pollfd files[125];
    int length = sizeof files / sizeof files[0];
    for (int i = 0; i < length; i++) files[i] = (struct pollfd){.fd = i + 3};
    for (size_t i = 0; i < count; i++)
        if (known[i] >= 3 && known[i] < length + 3) files[known[i] - 3].fd = -1;
    if (poll(files, (nfds_t)length, 0) < 0) return false;
    for (int i = 0; i < length; i++)
        if (files[i].fd >= 0 && (files[i].revents & POLLNVAL) == 0) return false;
    return true;
}

// MARK: - Descriptors and memory

int mp_memfd_create(const char *name) { return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING); }

int mp_seal_size(int fd) { return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL); }

bool mp_size_is_sealed(int fd) {
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

int mp_seal(int fd) { return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL); }

bool mp_is_sealed(int fd) {
    int seals = fcntl(fd, F_GET_SEALS), asked = F_SEAL_SHRINK | F_SEAL_WRITE;
    return seals >= 0 && (seals & asked) == asked;
}

int mp_allocate(int fd, off_t offset, off_t size) {
    // In pieces: kernels of before 2024 take back all that a call has allocated when a signal comes, so that with a timer that fires often a large allocation would never be done.
    const off_t most = 256 << 10, start = offset, end = offset + size;
    while (offset < end) {
        off_t piece = end - offset < most ? end - offset : most;
        if (fallocate(fd, 0, offset, piece) == 0)
            offset += piece;
        else if (errno != EINTR) {
            // All or nothing, as one call would be: what is short is not kept from others.
            int error = errno;
            if (offset > start) fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, start, offset - start);
            errno = error;
            return -1;
        }
    }
    return 0;
}

int64_t mp_free_memory(void) {
    struct sysinfo info;
    if (sysinfo(&info) < 0) return -1;
    return (int64_t)((uint64_t)(info.freeram + info.bufferram + info.freeswap) * info.mem_unit);
}

int mp_pipe(int fds[2]) { return pipe2(fds, O_CLOEXEC); }

int mp_open_working_directory(void) { return open(".", O_PATH | O_DIRECTORY | O_CLOEXEC); }

int mp_eventfd(unsigned int initial) { return eventfd(initial, EFD_CLOEXEC | EFD_NONBLOCK); }

int mp_socketpair(int fds[2]) { return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds); }

int mp_duplicate(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 3); }

pid_t mp_peer_of_socket(int fd) {
    int value;
    socklen_t size = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &size) < 0 || value != AF_UNIX) return -1;
    size = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &size) < 0 || value != SOCK_SEQPACKET) return -1;
    struct ucred peer;
    size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != getuid()) return -1;
    return peer.pid;
}

static struct timespec timespec_of(int64_t nanoseconds) {
    return (struct timespec){.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
}

int mp_futex_wait(const uint32_t *word, uint32_t expected, int64_t deadline_ns) {
    struct timespec deadline = timespec_of(deadline_ns);
    // FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time, so an interrupted wait can simply be made again. Not FUTEX_PRIVATE: other processes wake us.
    return (int)syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected, deadline_ns < 0 ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY) < 0 ? -1 : 0;
}

int mp_futex_wake(const uint32_t *word, int count) { return (int)syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0); }

int64_t mp_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int mp_affinity_count(void) {
    // The kernel refuses a mask smaller than its own, which may be larger than cpu_set_t on big machines.
    for (size_t processors = 1024; processors <= 1 << 20; processors *= 2) {
        cpu_set_t *set = CPU_ALLOC(processors);
        if (set == NULL) return -1;
        size_t size = CPU_ALLOC_SIZE(processors);
        int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : -1;
        CPU_FREE(set);
        if (count > 0 || errno != EINVAL) return count;
    }
    return -1;
}

const char *mp_signal_name(int signal) { return sigabbrev_np(signal); }

void mp_flush_standard_output(void) {
    if (ftrylockfile(stdout) != 0) return;
    fflush_unlocked(stdout);
    funlockfile(stdout);
}

void mp_write_standard_error(const char *text) { fputs(text, stderr); }

// MARK: - Images

struct image_search {
    bool (*body)(const struct mp_image *, void *);
    void *context;
};

static int visit_image(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    struct image_search *search = context;
    struct mp_image image = {
        info->dlpi_addr,     info->dlpi_name, info->dlpi_phdr, info->dlpi_phnum,
        info->dlpi_tls_data, (uint64_t)info->dlpi_adds + (uint64_t)info->dlpi_subs,
    };
    return search->body(&image, search->context) ? 0 : 1;
}

void mp_for_each_image(bool (*body)(const struct mp_image *image, void *context), void *context) {
    struct image_search search = {body, context};
    dl_iterate_phdr(visit_image, &search);
}

// MARK: - Swift runtime

// The entry point that an async main ends in; swiftcc without arguments is the C convention.
__attribute__((noreturn)) void swift_task_asyncMainDrainQueue(void);

void mp_prepare_main_queue(void) {
    // Its name is that of an entry point for run loops; it makes the queue's descriptor, once.
    uintptr_t (*make_handle)(void) = (uintptr_t (*)(void))dlsym(RTLD_DEFAULT, "_dispatch_get_main_queue_handle_4CF");
    if (make_handle != NULL) make_handle();
}

void mp_drain_main_queue(void) { swift_task_asyncMainDrainQueue(); }

// A metadata accessor answers the metadata and the state it is in; a request of 0 asks for complete metadata and blocks until it is.
struct metadata_response {
    const void *metadata;
    size_t state;
};
typedef __attribute__((swiftcall)) struct metadata_response accessor_0(size_t);
typedef __attribute__((swiftcall)) struct metadata_response accessor_1(size_t, const void *);
typedef __attribute__((swiftcall)) struct metadata_response accessor_2(size_t, const void *, const void *);
typedef __attribute__((swiftcall)) struct metadata_response accessor_3(size_t, const void *, const void *, const void *);

const void *mp_call_metadata_accessor(const void *accessor, const void *const *arguments, size_t count) {
    switch (count) {
        case 0: return ((accessor_0 *)accessor)(0).metadata;
        case 1: return ((accessor_1 *)accessor)(0, arguments[0]).metadata;
        case 2: return ((accessor_2 *)accessor)(0, arguments[0], arguments[1]).metadata;
        case 3: return ((accessor_3 *)accessor)(0, arguments[0], arguments[1], arguments[2]).metadata;
        // Above three, the arguments are passed in memory.
        default: return ((accessor_1 *)accessor)(0, arguments).metadata;
    }
}

// MARK: - Memory

void mp_advise_large(void *memory, size_t size) {
    const uintptr_t page = (uintptr_t)2 << 20;
    if (size < 2 * page) return;
    uintptr_t start = ((uintptr_t)memory + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)memory + size) & ~(page - 1);
    int before = errno;
    if (end > start) madvise((void *)start, end - start, MADV_HUGEPAGE);
    errno = before;
}
