// SPDX-License-Identifier: Apache-2.0
//
// Copies of a process that has other threads. See CMultiprocessing.h.
//
// A thread that is not in the copy may have held a lock at that moment: the copy would wait for it for ever. The locks that are met in practice are those of the Swift runtime (around its tables of types and
// conformances, and one beside each lazily made global) and of the loader, and they lie in the static data of the images. What a held one looks like, as 8-byte words:
//
//     once (swift_once_t), in data that begins as zeros     pthread_mutex_t of glibc, in any data
//     0   not done: 0          holder | waiters << 31        0   1, or 2 with waiters     depth
//                                                            8   holder                   1
//                                                            16  kind
//
// The copy looks for them before it does anything else. In the parent they change all the time, in the copy nothing does.

#define _GNU_SOURCE
#include "CMultiprocessing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// What the sanitizers add to reads would find them looking at memory that is none of the program's variables.
#define WITHOUT_SANITIZERS __attribute__((no_sanitize("address", "thread", "undefined")))

pid_t mp_fork(void) { return fork(); }

// A part of an image's data, in whole words.
struct part {
    const uint64_t *words;
    size_t count;
    bool begins_as_zeros;
};

struct parts {
    struct part *all;
    size_t count;
    size_t capacity;
};

struct threads {
    pid_t *all;
    size_t count;
    size_t capacity;
};

static bool make_room(void **all, size_t *capacity, size_t count, size_t size) {
    if (count < *capacity) return true;
    size_t more = *capacity == 0 ? 64 : 2 * *capacity;
    void *larger = realloc(*all, more * size);
    if (larger == NULL) return false;
    *all = larger;
    *capacity = more;
    return true;
}

// MARK: - In the parent, before

static int add_part(struct parts *parts, uintptr_t start, uintptr_t end, bool begins_as_zeros) {
    start = (start + 7) & ~(uintptr_t)7;
    end &= ~(uintptr_t)7;
    if (start >= end) return 0;
    if (!make_room((void **)&parts->all, &parts->capacity, parts->count, sizeof *parts->all)) return ENOMEM;
    parts->all[parts->count++] = (struct part){(const uint64_t *)start, (end - start) / 8, begins_as_zeros};
    return 0;
}

static int add_image(struct dl_phdr_info *image, size_t size, void *context) {
    (void)size;
    // What the loader has made read-only holds no locks.
    uintptr_t read_only_end = 0;
    for (size_t i = 0; i < image->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &image->dlpi_phdr[i];
        if (header->p_type == PT_GNU_RELRO) read_only_end = image->dlpi_addr + header->p_vaddr + header->p_memsz;
    }
    for (size_t i = 0; i < image->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &image->dlpi_phdr[i];
        if (header->p_type != PT_LOAD || (header->p_flags & PF_W) == 0) continue;
        uintptr_t start = image->dlpi_addr + header->p_vaddr;
        uintptr_t zeros = start + header->p_filesz, end = start + header->p_memsz;
        if (start < read_only_end && read_only_end <= zeros) start = read_only_end;
        int error = add_part(context, start, zeros, false);
        if (error == 0) error = add_part(context, zeros, end, true);
        if (error != 0) return error;
    }
    return 0;
}

// The threads of this process but the calling one.
static int list_threads(struct threads *threads) {
    DIR *folder = opendir("/proc/self/task");
    if (folder == NULL) return errno;
    int error = 0;
    pid_t own = (pid_t)syscall(SYS_gettid);
    struct dirent *entry;
    while (error == 0 && (entry = readdir(folder)) != NULL) {
        pid_t thread = atoi(entry->d_name);
        if (thread == 0 || thread == own) continue;
        if (make_room((void **)&threads->all, &threads->capacity, threads->count, sizeof *threads->all)) {
            threads->all[threads->count++] = thread;
        } else {
            error = ENOMEM;
        }
    }
    closedir(folder);
    return error;
}

// MARK: - In the copy

// Whether a thread of the parent has that number: one that was there before, or is now.
static bool is_foreign(uint32_t thread, const struct threads *threads, pid_t parent) {
    for (size_t i = 0; i < threads->count; i++) {
        if ((uint32_t)threads->all[i] == thread) return true;
    }
    // The copy's own number may be that of no thread of the parent.
    return syscall(SYS_tgkill, parent, thread, 0) == 0;
}

WITHOUT_SANITIZERS
static uint32_t holder(const struct part *part, size_t index) {
    uint64_t word = part->words[index];
    uint32_t low = (uint32_t)word, high = (uint32_t)(word >> 32);
    // The kernel's number of waiters is a bit; another bit tells of dead holders, and numbers of threads end before (FUTEX_TID_MASK).
    if (low == 0) return part->begins_as_zeros && (high & 0x40000000) == 0 ? high & 0x3fffffff : 0;
#ifdef __GLIBC__
    if (low > 2 || index + 2 >= part->count) return 0;
    uint64_t next = part->words[index + 1], kind = part->words[index + 2];
    // PTHREAD_MUTEX_NORMAL to PTHREAD_MUTEX_ADAPTIVE_NP, shared or not; robust ones and those that inherit priority are none of the runtime's.
    if (next >> 32 != 1 || (kind & 0x7f) > 3) return 0;
    return (uint32_t)next;
#else
    return 0;
#endif
}

WITHOUT_SANITIZERS
static struct mp_held_lock find_held_lock(
    const struct parts *parts, const struct threads *threads, pid_t parent, pid_t own,
    const struct mp_held_lock *known, size_t count
) {
    for (size_t i = 0; i < parts->count; i++) {
        const struct part *part = &parts->all[i];
        for (size_t index = 0; index < part->count; index++) {
            if (part->words[index] == 0) continue;
            uint32_t thread = holder(part, index);
            if (thread == 0 || thread == (uint32_t)own || !is_foreign(thread, threads, parent)) continue;
            struct mp_held_lock held = {(uintptr_t)&part->words[index], (pid_t)thread};
            bool is_known = false;
            for (size_t k = 0; k < count; k++) {
                is_known |= known[k].address == held.address && known[k].thread == held.thread;
            }
            if (!is_known) return held;
        }
    }
    return (struct mp_held_lock){0, 0};
}

// MARK: - Both

static ssize_t read_whole(int fd, struct mp_held_lock *held) {
    ssize_t size;
    do size = read(fd, held, sizeof *held);
    while (size < 0 && errno == EINTR);
    return size;
}

pid_t mp_fork_between_locks(const struct mp_held_lock *known, size_t count, struct mp_held_lock *held) {
    static struct parts parts;
    static struct threads threads;
    parts.count = threads.count = 0;
    *held = (struct mp_held_lock){0, 0};
    int error = list_threads(&threads);
    if (error == 0 && threads.count == 0) return fork();
    if (error == 0) error = dl_iterate_phdr(add_image, &parts);
    int ends[2];
    if (error == 0 && pipe2(ends, O_CLOEXEC) < 0) error = errno;
    if (error != 0) {
        errno = error;
        return -1;
    }
    pid_t parent = getpid(), own = (pid_t)syscall(SYS_gettid);
    pid_t pid = fork();
    if (pid == 0) {
        struct mp_held_lock found = find_held_lock(&parts, &threads, parent, own, known, count);
        // A parent that is gone watches over nobody.
        if (write(ends[1], &found, sizeof found) != sizeof found || found.address != 0) _exit(0);
        close(ends[0]);
        close(ends[1]);
        return 0;
    }
    error = errno;
    close(ends[1]);
    if (pid > 0) {
        // One that was killed before it had found anything is a dead child.
        if (read_whole(ends[0], held) != sizeof *held) *held = (struct mp_held_lock){0, 0};
        if (held->address != 0) {
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
        }
    }
    close(ends[0]);
    errno = error;
    return pid > 0 && held->address != 0 ? MP_LOCK_HELD : pid;
}
