// SPDX-License-Identifier: Apache-2.0
//
// What a lock looks like that a thread holds. The locks that copies of a process meet in practice are those of the Swift runtime (around its tables of types and conformances, and one beside each lazily made global)
// and of the loader, and they lie in the static data of the images. As 8-byte words:
//
//     once (swift_once_t), in data that begins as zeros     pthread_mutex_t of glibc, in any data
//     0   not done: 0          holder | waiters << 31        0   1, or 2 with waiters     depth
//                                                            8   holder                   1
//                                                            16  kind

#define _GNU_SOURCE
#include "heldlocks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// What the sanitizers add to reads would find them looking at memory that is none of the program's variables.
#define WITHOUT_SANITIZERS __attribute__((no_sanitize("address", "thread", "undefined")))

static bool make_room(void **all, size_t *capacity, size_t count, size_t size) {
    if (count < *capacity) return true;
    size_t more = *capacity == 0 ? 64 : 2 * *capacity;
    void *larger = realloc(*all, more * size);
    if (larger == NULL) return false;
    *all = larger;
    *capacity = more;
    return true;
}

// MARK: - Noted locks

static const uint32_t *noted[64];
static size_t noted_count;

bool mp_note_lock(const uint32_t *word) {
    size_t index = __atomic_fetch_add(&noted_count, 1, __ATOMIC_RELAXED);
    if (index >= sizeof noted / sizeof *noted) return false;
    // Whoever is about to take it for the first time has noted it before.
    __atomic_store_n(&noted[index], word, __ATOMIC_RELEASE);
    return true;
}

// MARK: - In the parent

static int add_part(struct surroundings *to, uintptr_t start, uintptr_t end, bool begins_as_zeros) {
    start = (start + 7) & ~(uintptr_t)7;
    end &= ~(uintptr_t)7;
    if (start >= end) return 0;
    if (!make_room((void **)&to->parts, &to->part_capacity, to->part_count, sizeof *to->parts)) return ENOMEM;
    to->parts[to->part_count++] = (struct part){(const uint64_t *)start, (end - start) / 8, begins_as_zeros};
    return 0;
}

// Whether the image is one of Swift's own libraries, whose locks all begin as zeros. The rest of the standard library's data is a megabyte.
static bool is_of_swift(const char *path) {
    const char *name = strrchr(path, '/');
    return name != NULL && strncmp(name, "/libswift", 9) == 0;
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
        int error = is_of_swift(image->dlpi_name) ? 0 : add_part(context, start, zeros, false);
        if (error == 0) error = add_part(context, zeros, end, true);
        if (error != 0) return error;
    }
    return 0;
}

static int note_threads(struct surroundings *to) {
    DIR *folder = opendir("/proc/self/task");
    if (folder == NULL) return errno;
    int error = 0;
    struct dirent *entry;
    while (error == 0 && (entry = readdir(folder)) != NULL) {
        pid_t thread = atoi(entry->d_name);
        if (thread == 0 || thread == to->own) continue;
        if (make_room((void **)&to->threads, &to->thread_capacity, to->thread_count, sizeof *to->threads)) {
            to->threads[to->thread_count++] = thread;
        } else {
            error = ENOMEM;
        }
    }
    closedir(folder);
    return error;
}

int note_surroundings(struct surroundings *to) {
    to->part_count = to->thread_count = 0;
    to->process = getpid();
    to->own = (pid_t)syscall(SYS_gettid);
    to->page_size = (size_t)getpagesize();
    int error = note_threads(to);
    return error == 0 && to->thread_count > 0 ? dl_iterate_phdr(add_image, to) : error;
}

// MARK: - In the copy

// Whether a thread of the parent has that number: one that was there before, or is now.
static bool is_foreign(uint32_t thread, const struct surroundings *parent) {
    if (thread == 0 || thread == (uint32_t)parent->own) return false;
    for (size_t i = 0; i < parent->thread_count; i++) {
        if ((uint32_t)parent->threads[i] == thread) return true;
    }
    return syscall(SYS_tgkill, parent->process, thread, 0) == 0;
}

// The number of the thread that holds a lock which begins with a word that is not 0, if that looks like one.
WITHOUT_SANITIZERS
static uint32_t holder(const struct part *part, size_t index) {
    uint64_t word = part->words[index];
    uint32_t low = (uint32_t)word, high = (uint32_t)(word >> 32);
    // The kernel notes waiters in one bit and the death of a holder in another; numbers of threads end before (FUTEX_TID_MASK).
    if (low == 0) return part->begins_as_zeros && (high & 0x40000000) == 0 ? high & 0x3fffffff : 0;
#ifdef __GLIBC__
    if (low > 2 || index + 2 >= part->count) return 0;
    uint64_t next = part->words[index + 1], kind = part->words[index + 2];
    // PTHREAD_MUTEX_NORMAL to PTHREAD_MUTEX_ADAPTIVE_NP; those that are robust or inherit priority are none of the runtime's.
    if (next >> 32 != 1 || (kind & 0x7f) > 3) return 0;
    return (uint32_t)next;
#else
    return 0;
#endif
}

static bool is_known(struct mp_held_lock lock, const struct mp_held_lock *known, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (known[i].address == lock.address && known[i].thread == lock.thread) return true;
    }
    return false;
}

// Which of the part's pages from `first` on were ever written, as the kernel's page map says: the others are as in the file, or zeros, and would only be mapped for the look. Returns for how many it says so.
static size_t look_up_pages(int map, uintptr_t first, size_t count, size_t page_size, bool *was_written) {
    uint64_t entries[128];
    if (count > 128) count = 128;
    ssize_t size = map < 0 ? -1 : pread(map, entries, count * 8, (off_t)(first / page_size * 8));
    if (size < 8) {
        // Then all count as written.
        for (size_t i = 0; i < count; i++) was_written[i] = true;
        return count;
    }
    count = (size_t)size / 8;
    for (size_t i = 0; i < count; i++) {
        bool is_present = entries[i] >> 63, is_swapped = entries[i] >> 62 & 1, is_of_file = entries[i] >> 61 & 1;
        was_written[i] = is_swapped || (is_present && !is_of_file);
    }
    return count;
}

WITHOUT_SANITIZERS
static struct mp_held_lock find_in_words(
    const struct part *part, size_t from, size_t to, const struct surroundings *parent,
    const struct mp_held_lock *known, size_t count
) {
    for (size_t index = from; index < to; index++) {
        uint64_t word = part->words[index];
        if (word == 0 || (uint32_t)word > 2) continue;
        uint32_t thread = holder(part, index);
        if (!is_foreign(thread, parent)) continue;
        struct mp_held_lock held = {(uintptr_t)&part->words[index], (pid_t)thread};
        if (!is_known(held, known, count)) return held;
    }
    return (struct mp_held_lock){0, 0};
}

static struct mp_held_lock find_noted(const struct mp_held_lock *known, size_t count) {
    for (size_t i = 0; i < sizeof noted / sizeof *noted; i++) {
        struct mp_held_lock lock = {(uintptr_t)noted[i], 0};
        if (noted[i] != NULL && *noted[i] != 0 && !is_known(lock, known, count)) return lock;
    }
    return (struct mp_held_lock){0, 0};
}

struct mp_held_lock find_held_lock(const struct surroundings *parent, const struct mp_held_lock *known, size_t count) {
    struct mp_held_lock held = find_noted(known, count);
    if (held.address != 0) return held;
    int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < parent->part_count && held.address == 0; i++) {
        const struct part *part = &parent->parts[i];
        uintptr_t start = (uintptr_t)part->words, end = start + part->count * 8;
        uintptr_t page = start & ~(parent->page_size - 1);
        while (page < end && held.address == 0) {
            bool was_written[128];
            size_t pages = (end - page + parent->page_size - 1) / parent->page_size;
            pages = look_up_pages(map, page, pages, parent->page_size, was_written);
            for (size_t k = 0; k < pages && held.address == 0; k++, page += parent->page_size) {
                if (!was_written[k]) continue;
                size_t from = page < start ? 0 : (page - start) / 8;
                size_t to = page + parent->page_size > end ? part->count : (page + parent->page_size - start) / 8;
                held = find_in_words(part, from, to, parent, known, count);
            }
        }
    }
    if (map >= 0) close(map);
    return held;
}
