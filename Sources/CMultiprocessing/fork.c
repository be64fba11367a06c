// SPDX-License-Identifier: Apache-2.0
//
// `fork`, and what it leaves wrong in the child: the number of the thread, which Swift's `Mutex` keeps in thread-local variables.
//
// `Mutex` is a futex with priority inheritance (futex(2), FUTEX_LOCK_PI): its word holds the number of the thread that has it. The number is asked for once in a thread and kept in a variable
// `_swift_stdlib_gettid.tid` of which every compiled file has its own (stdlib/public/SwiftShims/swift/shims/_SynchronizationShims.h). The thread of a forked child inherits the variables of the thread that forked, and would
// lock with the number of another process' thread. As long as nobody waits nothing is noticed. The first one that has to wait asks the kernel to lend its priority to a thread that does not exist, and the program ends.
//
// The variables have no name that could be looked up, so they are found by what they hold: the words of zero-initialised thread-local storage that are equal to the number of the forking thread, in every file of the program
// but the C library's.

#define _GNU_SOURCE
#include "CMultiprocessing.h"

#include <link.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAXIMUM_CACHES = 512 };

struct caches {
    uint32_t thread;
    size_t count;
    uint32_t *words[MAXIMUM_CACHES];
};

// Notes the words of one loaded file.
static int find_caches(struct dl_phdr_info *info, size_t size, void *context) {
    struct caches *caches = context;
    if (size < offsetof(struct dl_phdr_info, dlpi_tls_data) + sizeof info->dlpi_tls_data || info->dlpi_tls_data == NULL) return 0;
    if (strstr(info->dlpi_name, "/libc.so") != NULL || strstr(info->dlpi_name, "/ld-") != NULL) return 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_TLS) continue;
        uintptr_t start = (uintptr_t)info->dlpi_tls_data;
        uintptr_t end = start + header->p_memsz;
        for (uintptr_t at = (start + header->p_filesz + 3) & ~(uintptr_t)3; at + 4 <= end; at += 4) {
            uint32_t *word = (uint32_t *)at;
            if (*word == caches->thread && caches->count < MAXIMUM_CACHES) caches->words[caches->count++] = word;
        }
    }
    return 0;
}

pid_t mp_fork(void) {
    // Found before the fork: in the child the loader's lock may be held by a thread that is not there.
    struct caches caches = {.thread = (uint32_t)syscall(SYS_gettid), .count = 0};
    dl_iterate_phdr(find_caches, &caches);
    pid_t pid = fork();
    if (pid != 0) return pid;
    uint32_t thread = (uint32_t)syscall(SYS_gettid);
    for (size_t i = 0; i < caches.count; i++)
        if (*caches.words[i] == caches.thread) *caches.words[i] = thread;
    return 0;
}
