// SPDX-License-Identifier: Apache-2.0
//
// `fork`, and what it leaves wrong in the child: the number of the thread, which Swift's `Mutex` keeps in thread-local variables.
//
// `Mutex` is a futex with priority inheritance (futex(2), FUTEX_LOCK_PI): its word holds the number of the thread that has it. The number is asked for once in a thread and kept in a variable
// `_swift_stdlib_gettid.tid` of which every compiled file has its own (stdlib/public/SwiftShims/swift/shims/_SynchronizationShims.h). The thread of a forked child inherits the variables of the thread that forked, and would
// lock with the number of another process' thread. As long as nobody waits nothing is noticed. The first one that has to wait asks the kernel to lend its priority to a thread that does not exist, and the program ends.
//
// The variables have no name that could be looked up, so they are found by what they hold: the words of zero-initialised thread-local storage that are equal to the number of the forking thread, in every file that was
// loaded at the start of the program but the C library's. Where those lie is noted before `main`: at a fork the loader's lock must not be taken, or a copy made meanwhile by another thread would find it held for good.

#define _GNU_SOURCE
#include "CMultiprocessing.h"

#include <link.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAXIMUM_FILES = 128, MAXIMUM_CACHES = 512 };

// Zero-initialised thread-local storage of one file: its distance from the thread's own block, the same in every thread (static TLS, Drepper, "ELF Handling For Thread-Local Storage"), and its size.
static struct {
    intptr_t distance;
    size_t size;
} files[MAXIMUM_FILES];
static size_t file_count;

static int note_file(struct dl_phdr_info *info, size_t size, void *context) {
    (void)context;
    if (size < offsetof(struct dl_phdr_info, dlpi_tls_data) + sizeof info->dlpi_tls_data || info->dlpi_tls_data == NULL) return 0;
    if (strstr(info->dlpi_name, "/libc.so") != NULL || strstr(info->dlpi_name, "/ld-") != NULL) return 0;
    for (size_t i = 0; i < info->dlpi_phnum && file_count < MAXIMUM_FILES; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_TLS) continue;
        uintptr_t start = ((uintptr_t)info->dlpi_tls_data + header->p_filesz + 3) & ~(uintptr_t)3;
        uintptr_t end = (uintptr_t)info->dlpi_tls_data + header->p_memsz;
        if (end < start + 4) continue;
        files[file_count].distance = (intptr_t)(start - (uintptr_t)pthread_self());
        files[file_count++].size = end - start;
    }
    return 0;
}

void mp_note_thread_storage(void) {
    if (file_count == 0) dl_iterate_phdr(note_file, NULL);
}

pid_t mp_fork(void) {
    uint32_t *caches[MAXIMUM_CACHES];
    size_t count = 0;
    uint32_t parent = (uint32_t)syscall(SYS_gettid);
    for (size_t i = 0; i < file_count; i++) {
        uint32_t *words = (uint32_t *)((uintptr_t)pthread_self() + (uintptr_t)files[i].distance);
        for (size_t k = 0; k < files[i].size / 4; k++)
            if (words[k] == parent && count < MAXIMUM_CACHES) caches[count++] = &words[k];
    }
    pid_t pid = fork();
    if (pid != 0) return pid;
    uint32_t thread = (uint32_t)syscall(SYS_gettid);
    // What a handler of the fork has changed already (robust.c) stays as it is.
    for (size_t i = 0; i < count; i++)
        if (*caches[i] == parent) *caches[i] = thread;
    return 0;
}
