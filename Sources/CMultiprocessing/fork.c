// SPDX-License-Identifier: Apache-2.0
//
// fork, and what the Swift runtime does not know of it.
//
// The runtime's locks (`swift_once`, the standard library's `Mutex`) are futexes of the priority-inheriting kind: the word holds the id of the thread that has it, and each thread keeps its
// id in a thread-local variable. The thread that returns from fork in the child has a copy of that variable with the id it had in the parent. It takes and gives up free locks with it;
// but as soon as a second thread waits for such a lock the kernel finds an owner that is no thread of this process, and both loop on EPERM for ever. So the child forgets the id, and the
// runtime asks for it again. The variable has no name that could be linked to: it is a word that equals
// the old id, among the few that the runtime's libraries, or the executable that they were linked into, keep for each thread.

#define _GNU_SOURCE
#include "CMultiprocessing.h"

#include <link.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { most_images = 32 };

// The calling thread's variables of the images that may hold the runtime, or what was inlined from it.
struct variables {
    struct {
        uint32_t *first;
        size_t count;
    } images[most_images];
    size_t count;
    bool has_executable;
};

static int visit_image(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size;
    struct variables *variables = context;
    // The executable comes first.
    bool is_wanted = !variables->has_executable || strstr(info->dlpi_name, "libswift") != NULL;
    variables->has_executable = true;
    if (!is_wanted || info->dlpi_tls_data == NULL || variables->count == most_images) return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_TLS) continue;
        variables->images[variables->count].first = (uint32_t *)(((uintptr_t)info->dlpi_tls_data + 3) & ~(uintptr_t)3);
        variables->images[variables->count++].count = info->dlpi_phdr[i].p_memsz / sizeof(uint32_t);
        return 0;
    }
    return 0;
}

pid_t mp_fork(void) {
    // Before the fork: the child must not take the loader's lock, which another thread may have held.
    struct variables variables = {0};
    dl_iterate_phdr(visit_image, &variables);
    uint32_t old = (uint32_t)syscall(SYS_gettid);
    pid_t pid = fork();
    if (pid != 0) return pid;
    for (size_t image = 0; image < variables.count; image++) {
        for (size_t i = 0; i < variables.images[image].count; i++) {
            uint32_t *word = &variables.images[image].first[i];
            if (*word == old) *word = 0;
        }
    }
    return 0;
}
