// SPDX-License-Identifier: Apache-2.0
//
// What a lock looks like that a thread holds. Those that copies of a process meet in practice are the Swift runtime's (around its tables, and beside each lazily made value) and the loader's, and most of them lie in the static
// data of the images. As 8-byte words:
//
//     once (swift_once_t), in data that begins as zeros     pthread_mutex_t of glibc, in any data
//     0   not done: 0          holder | waiters << 31        0   1, or 2 with waiters     depth
//                                                            8   holder                   holders, and who waits for conditions
//                                                            16  kind
//
// Not seen: a lock in allocated memory, above all that of a type which another thread is just building; those few of the runtime's own onces that do not begin at a whole word, and are over before the first copy; a mutex in the
// few instructions in which its word is taken and its holder not noted, or no longer.

#define _GNU_SOURCE
#include "heldlocks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

// How many bytes are looked at in one go, and how many more for a mutex that begins at the end of those.
#define STRIDE 32768
#define OVERLAP 16

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

static int add_part(struct surroundings *to, uintptr_t start, uintptr_t end, bool may_have_onces) {
    start = (start + 7) & ~(uintptr_t)7;
    end &= ~(uintptr_t)7;
    if (start >= end) return 0;
    if (!make_room((void **)&to->parts, &to->part_capacity, to->part_count, sizeof *to->parts)) return ENOMEM;
    to->parts[to->part_count++] = (struct part){start, (end - start) / 8, may_have_onces};
    return 0;
}

// Whether the image is one of Swift's own libraries, whose locks all begin as zeros. The rest of the standard library's data is a megabyte.
static bool is_of_swift(const char *path) {
    const char *name = strrchr(path, '/');
    return name != NULL && strncmp(name, "/libswift", 9) == 0;
}

// Whether the image has Swift code: the program, and what needs the standard library. In the data of others two numbers side by side may look like a once.
static bool needs_swift(const struct dl_phdr_info *image) {
    if (image->dlpi_name[0] == 0 || is_of_swift(image->dlpi_name)) return true;
    const ElfW(Dyn) *dynamic = NULL;
    for (size_t i = 0; i < image->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &image->dlpi_phdr[i];
        if (header->p_type == PT_DYNAMIC) dynamic = (const ElfW(Dyn) *)(image->dlpi_addr + header->p_vaddr);
    }
    if (dynamic == NULL) return false;
    const char *strings = NULL;
    for (const ElfW(Dyn) *entry = dynamic; entry->d_tag != DT_NULL; entry++) {
        // glibc has made it an address, but for the image of the kernel.
        if (entry->d_tag == DT_STRTAB && entry->d_un.d_ptr >= image->dlpi_addr) strings = (const char *)entry->d_un.d_ptr;
    }
    if (strings == NULL) return false;
    for (const ElfW(Dyn) *entry = dynamic; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_NEEDED && strncmp(strings + entry->d_un.d_val, "libswiftCore", 12) == 0) return true;
    }
    return false;
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
        if (error == 0) error = add_part(context, zeros, end, needs_swift(image));
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
            if (thread > to->largest) to->largest = thread;
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
    to->own = to->largest = (pid_t)syscall(SYS_gettid);
    to->page_size = (size_t)getpagesize();
    if (to->words == NULL) to->words = malloc(STRIDE + OVERLAP);
    if (to->words == NULL) return ENOMEM;
    int error = note_threads(to);
    return error == 0 && to->thread_count > 0 ? dl_iterate_phdr(add_image, to) : error;
}

// MARK: - In the copy

// What was found.
struct finding {
    const struct surroundings *parent;
    const struct mp_held_lock *known;
    size_t known_count;
    struct mp_held_lock *held;
    size_t count;
};

static void add_lock(struct finding *finding, uintptr_t address, uint32_t thread) {
    if (finding->count == MP_HELD_LOCKS) return;
    for (size_t i = 0; i < finding->known_count; i++) {
        const struct mp_held_lock *known = &finding->known[i];
        if (known->address == address && known->thread == (pid_t)thread) return;
    }
    finding->held[finding->count++] = (struct mp_held_lock){address, (pid_t)thread};
}

// Whether another thread of the parent has that number: one that was there before, or came since then.
static bool is_foreign(uint32_t thread, const struct surroundings *parent) {
    if (thread == 0 || thread == (uint32_t)parent->own) return false;
    for (size_t i = 0; i < parent->thread_count; i++) {
        if ((uint32_t)parent->threads[i] == thread) return true;
    }
    // Numbers grow, up to PID_MAX_LIMIT at most.
    if (thread < (uint32_t)parent->largest || thread > 4194304) return false;
    return syscall(SYS_tgkill, parent->process, thread, 0) == 0 || errno == EPERM;
}

// The number of the thread that holds a lock which begins with these three words, if that looks like one.
static uint32_t holder(const uint64_t *words, bool may_be_once) {
    uint32_t low = (uint32_t)words[0], high = (uint32_t)(words[0] >> 32);
    // The kernel notes waiters in one bit and the death of a holder in another; numbers of threads end before (FUTEX_TID_MASK).
    if (low == 0) return may_be_once && (high & 0x40000000) == 0 ? high & 0x3fffffff : 0;
#ifdef __GLIBC__
    // Taken; by whom, and how many depend on it; of the kinds PTHREAD_MUTEX_NORMAL to PTHREAD_MUTEX_ADAPTIVE_NP. Those that are robust or inherit priority are none of the runtime's.
    uint32_t users = (uint32_t)(words[1] >> 32);
    if (low <= 2 && users >= 1 && users <= 0xffff && (words[2] & 0x7f) <= 3) return (uint32_t)words[1];
#endif
    return 0;
}

// Looks through words that were copied from `address`; behind them lie two more, of what follows or zeros.
static void look_through(const uint64_t *words, size_t count, uintptr_t address, bool may_have_onces, struct finding *finding) {
    for (size_t i = 0; i < count; i++) {
        if (words[i] == 0 || (uint32_t)words[i] > 2) continue;
        uint32_t thread = holder(words + i, may_have_onces);
        if (is_foreign(thread, finding->parent)) add_lock(finding, address + i * 8, thread);
    }
}

// Copies memory of this process that may not be readable.
static bool copy_memory(void *to, uintptr_t from, size_t size) {
    struct iovec local = {to, size}, remote = {(void *)from, size};
    ssize_t count = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    if (count == (ssize_t)size) return true;
    if (count >= 0 || errno == EFAULT) return false;
    // Where the call is forbidden, or unknown.
    memcpy(to, (const void *)from, size);
    return true;
}

static void look_at(const struct part *part, uintptr_t from, uintptr_t to, size_t page_size, struct finding *finding) {
    uint64_t *words = finding->parent->words;
    uintptr_t end = part->start + part->count * 8;
    while (from < to) {
        size_t size = to - from > STRIDE ? STRIDE : to - from;
        size_t more = end - from - size > OVERLAP ? OVERLAP : end - from - size;
        memset(words + size / 8, 0, OVERLAP);
        if (copy_memory(words, from, size + more) || copy_memory(words, from, size)) {
            look_through(words, size / 8, from, part->may_have_onces, finding);
        } else if (size > page_size) {
            // One of the pages cannot be read.
            size = page_size - from % page_size;
            look_at(part, from, from + size, page_size, finding);
        }
        from += size;
    }
}

// Which pages from `first` on were ever written, as the kernel's page map says: the others are as in the file, or zeros, and would only be mapped for the look. Returns for how many it says so.
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

static void look_at_part(const struct part *part, int map, size_t page_size, struct finding *finding) {
    uintptr_t end = part->start + part->count * 8, page = part->start & ~(page_size - 1);
    while (page < end) {
        bool was_written[128];
        size_t pages = look_up_pages(map, page, (end - page + page_size - 1) / page_size, page_size, was_written);
        for (size_t first = 0; first < pages;) {
            size_t last = first;
            while (last < pages && was_written[last] == was_written[first]) last++;
            uintptr_t from = page + first * page_size, to = page + last * page_size;
            if (was_written[first]) {
                look_at(part, from < part->start ? part->start : from, to > end ? end : to, page_size, finding);
            }
            first = last;
        }
        page += pages * page_size;
    }
}

size_t find_held_locks(
    const struct surroundings *parent, const struct mp_held_lock *known, size_t count, struct mp_held_lock *held
) {
    struct finding finding = {parent, known, count, held, 0};
    for (size_t i = 0; i < sizeof noted / sizeof *noted; i++) {
        if (noted[i] != NULL && *noted[i] != 0) add_lock(&finding, (uintptr_t)noted[i], 0);
    }
    int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < parent->part_count; i++) look_at_part(&parent->parts[i], map, parent->page_size, &finding);
    if (map >= 0) close(map);
    return finding.count;
}
