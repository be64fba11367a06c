// SPDX-License-Identifier: Apache-2.0
//
// The C shim of swift-multiprocessing: only what Swift cannot say. This header is the contract; nothing else is shared with Swift.
//
//   hook.c         control before `main`, for a process that this package started
//   system.c       system calls that the Glibc module lacks, spawn
//   descriptors.c  messages with file descriptors beside them (SCM_RIGHTS)
//   robust.c       futex words whose holder may die, waits on several words (robust.h)
//   crash.c        what a dying child can still say: fatal message, signal, stack
//
// Unless said otherwise a function returns -1 and sets `errno` on failure, and every descriptor it makes is close-on-exec.

#ifndef CMULTIPROCESSING_H
#define CMULTIPROCESSING_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "robust.h"

#ifdef __cplusplus
extern "C" {
#endif

// MARK: - Before main (hook.c)

// The name of the environment variable that marks a process started by this package. Its value is the number of an inherited socket.
#define MP_MARKER "MULTIPROCESSING_SOCKET"

// Whether the hook before `main` is linked in and works on this platform (glibc). Where it is false, `main` must call `Multiprocessing.bootstrap()` first.
bool mp_hook_is_available(void);

// Whether this process has more rights than who started it (set-user-id and the like). Such a process ignores the marker, so it cannot be started as a child either.
bool mp_is_privileged(void);

// Runs the process that the marker asks for, or returns at once when there is no trustworthy marker. Called by the hook, or by `bootstrap()`.
void mp_serve_if_marked(void);

// MARK: - Copies of this process (fork.c)

// The real `fork` of the C library, which Swift does not let itself call (never a raw clone: glibc's robust-mutex list and thread id must be set up in the child).
pid_t mp_fork(void);

// A lock in the static data of this program or a library, and the thread that holds it; 0 where the lock does not say.
struct mp_held_lock {
    uintptr_t address;
    pid_t thread;
};

// What `mp_fork_between_locks` returns when there is no child, because of locks; and of how many it tells at most.
#define MP_LOCK_HELD (-2)
#define MP_HELD_LOCKS 32

// Notes a lock of this program: a word that is 0 as long as nobody holds it, and is never freed. Returns false when there is no room for more.
bool mp_note_lock(const uint32_t *word);

// Calls `fork` as `mp_fork` does, and lets only such a child go on as has no lock in it that another thread of this process held: locks that were noted, and those that heldlocks.c finds, which are most of the Swift
// runtime's and the loader's. Where there were some, but for the `count` in `known`, the child has ended; `*held_count` of them are stored in `held`, which has room for MP_HELD_LOCKS, and MP_LOCK_HELD is returned.
// Not to be called by two threads at once. Blocks for as long as the child needs to look: 0.1 to 0.4 ms. Handlers of pthread_atfork(3) are called for children that end as well, and before they look.
pid_t mp_fork_between_locks(
    const struct mp_held_lock *known, size_t count, struct mp_held_lock *held, size_t *held_count
);

// MARK: - Processes (system.c)

// Starts this program's own executable anew, with `arguments` and the environment of now plus the marker for `socket_fd`, which the new process inherits
// as descriptor 3; descriptors 0, 1 and 2 are inherited, every other one is closed, no signal is blocked. Stores the new process' pid. Returns 0 or an errno.
int mp_spawn_self(char *const *arguments, int socket_fd, pid_t *pid);

int mp_pidfd_open(pid_t pid);
int mp_pidfd_send_signal(int pidfd, int signal);

// Waits until `fd` is readable or a child has ended, whichever is first (SIGCHLD is blocked at all other times, so none is missed), or `timeout_ms` (-1: none) passed.
// Returns 1 when `fd` is readable. For the single-threaded server, which has a handler for that signal (ServerSignals+Linux.swift).
int mp_wait_readable_or_child(int fd, int timeout_ms);

// Sends SIGKILL to this process when the forking thread of its parent ends. Only the single-threaded server may rely on it.
int mp_die_with_parent(void);

// Replaces the whole environment by `count` NUL-terminated strings that lie one after another in `strings` (copied).
int mp_replace_environment(const char *strings, size_t count);

// The current environment block: a NULL-terminated array of "NAME=value".
char *const *mp_environment(void);

int mp_set_thread_name(const char *name);

// exit(3), at less cost in a process forked from one that never called it.
__attribute__((noreturn)) void mp_exit(int status);

// Whether the end of this process changes nothing that another process can see: it never had a second thread, holds no robust futex, and has no file open but the standard ones and
// those in `known` (numbers above 127 are not looked at).
bool mp_is_alone(const int *known, size_t count);

// MARK: - Descriptors and memory (system.c)

int mp_memfd_create(const char *name);
// Adds F_SEAL_* flags. MP_SEAL_SIZE: the size can change no more.
int mp_seal_size(int fd);
bool mp_size_is_sealed(int fd);
// The same for size and contents.
int mp_seal(int fd);
bool mp_is_sealed(int fd);
// Allocates every page of `size` bytes of `fd` from `offset` on, where nothing is yet, so that a machine that cannot give them says so now (ENOSPC, ENOMEM) rather than by SIGBUS later.
int mp_allocate(int fd, off_t offset, off_t size);
// Free memory and swap space in bytes, without a descriptor (sysinfo(2)); -1 when the kernel does not say.
int64_t mp_free_memory(void);
int mp_pipe(int fds[2]);
// Opens the working directory (O_PATH), as it is now, even when it was removed.
int mp_open_working_directory(void);
int mp_eventfd(unsigned int initial);
// Makes two connected, ordered, reliable sockets that keep message boundaries (SOCK_SEQPACKET).
int mp_socketpair(int fds[2]);
// Duplicates `fd` to the lowest free number that is at least 3, close-on-exec.
int mp_duplicate(int fd);
// Checks that `fd` is a local packet socket whose other end belongs to this user. Returns the peer's pid, or -1.
pid_t mp_peer_of_socket(int fd);

// Waits until `*word` differs from `expected`, a wake, a signal, or the CLOCK_MONOTONIC time `deadline_ns` (negative: none). Shared between processes.
// Returns 0 when woken, or -1 with EAGAIN (the word differed), EINTR, ETIMEDOUT.
int mp_futex_wait(const uint32_t *word, uint32_t expected, int64_t deadline_ns);
// Wakes at most `count` waiters. Returns how many.
int mp_futex_wake(const uint32_t *word, int count);

// CLOCK_MONOTONIC in nanoseconds.
int64_t mp_now(void);
// The number of processors the affinity mask of this process allows, or -1.
int mp_affinity_count(void);
// The name of a signal, such as "KILL", or NULL.
const char *mp_signal_name(int signal);
// Writes what is buffered for standard output, unless another thread is in the middle of doing so.
void mp_flush_standard_output(void);
// Writes `text` to the C library's standard error stream.
void mp_write_standard_error(const char *text);

// MARK: - Messages with descriptors (descriptors.c)

// The most descriptors one message can carry (the kernel's SCM_MAX_FD).
#define MP_MAXIMUM_DESCRIPTORS 253

// Sends the two parts as one message with `fd_count` descriptors beside it. Never raises SIGPIPE. `flags` as for sendmsg. Returns the bytes sent.
ssize_t mp_send(int socket, const void *head, size_t head_size, const void *body, size_t body_size, const int *fds, size_t fd_count, int flags);

// Receives one message: at most `capacity` bytes and `*fd_count` descriptors (in: room, out: received; close-on-exec). Returns the bytes received (0: end of
// file), or -1; a message that does not fit in either respect fails with EMSGSIZE, and its descriptors are closed.
ssize_t mp_receive(int socket, void *buffer, size_t capacity, int *fds, size_t *fd_count, int flags);

// Takes the next connection that waits at a listening socket; the new descriptor does not block. `address` may be NULL. Fails with EAGAIN when none waits.
int mp_accept(int socket, struct sockaddr *address, socklen_t *address_size);

// The user of the process that made the other end of a Unix socket, or -1.
int64_t mp_peer_user(int socket);

// MARK: - Last words (crash.c)

// The most frames and message bytes that a crash report holds.
#define MP_CRASH_FRAMES 64
#define MP_CRASH_TEXT 1024

// Where an image lies, for the handler to turn addresses into places that mean the same in another process.
struct mp_image_range {
    uintptr_t start, end, base;
    uint64_t identity;
};

struct mp_crash_frame {
    uint64_t image;   // the image's identity; 0: in none
    uint64_t offset;  // from its base
};

// What a crashing child sends as the last message on its link, straight from the signal handler.
struct mp_crash_report {
    uint32_t kind;     // the caller's `kind`, so that the receiver can tell it from other messages
    int32_t signal;
    uint64_t address;  // the faulting address, where the signal has one
    uint32_t frame_count;
    uint32_t text_size;
    struct mp_crash_frame frames[MP_CRASH_FRAMES];
    char text[MP_CRASH_TEXT];
};

// Installs, once in a process and for its children by fork, a handler for the signals of a crash that sends a report, then lets the signal take its ordinary course. Also routes
// the C library's `stderr` stream through a recorder (still to descriptor 2), since the runtime's "Fatal error: …" goes nowhere else. `images` must stay where they are.
int mp_install_crash_reporter(uint32_t kind, const struct mp_image_range *images, size_t image_count);

// Says where this process' report goes (-1: nowhere).
void mp_set_crash_socket(int socket);

// MARK: - Swift concurrency

// Makes what `mp_drain_main_queue` needs of the kernel. Without, that ends the process when there is no descriptor left.
void mp_prepare_main_queue(void);

// Gives the calling thread, which must be the main thread, to the main actor for good: what an `async` main does.
__attribute__((noreturn)) void mp_drain_main_queue(void);

// MARK: - Images

struct mp_image {
    uintptr_t base;          // what the loader added to the addresses in the file
    const char *name;        // "" for the executable
    const void *headers;     // its program headers (elf(5))
    size_t header_count;
    void *thread_variables;  // the calling thread's, or NULL
    uint64_t changes;        // how many images were loaded and unloaded up to now, in all
};

// Calls `body` for each loaded image until it returns false.
void mp_for_each_image(bool (*body)(const struct mp_image *image, void *context), void *context);

// MARK: - Memory

// Asks for large pages where memory that was just allocated, and not touched, is large enough for some: they come five times as fast. What the kernel does not grant is no error.
void mp_advise_large(void *memory, size_t size);

// MARK: - Swift runtime entry points

struct mp_heap_object;

// A new object with reference count 1 and uninitialised fields. The alignment mask of a closure context is 15.
struct mp_heap_object * mp_swift_allocObject(const void *metadata, size_t size, size_t alignment_mask) __asm__("swift_allocObject");
// One more unowned reference to an object, or one less: the last one of any kind gives its memory back.
struct mp_heap_object *mp_swift_unownedRetain(struct mp_heap_object *object) __asm__("swift_unownedRetain");
void mp_swift_unownedRelease(struct mp_heap_object *object) __asm__("swift_unownedRelease");
// One more strong reference to an object that there is an unowned one to; NULL when its last strong one is gone.
struct mp_heap_object *mp_swift_tryRetain(struct mp_heap_object *object) __asm__("swift_tryRetain");
const void *mp_swift_conformsToProtocol(const void *type, const void *protocol) __asm__("swift_conformsToProtocol");
// Calls the metadata access function of a nominal type with its key generic arguments (metadata, then witness tables).
const void *mp_call_metadata_accessor(const void *accessor, const void *const *arguments, size_t count);
// A malloc'ed demangled name, or NULL.
char *mp_swift_demangle(const char *name, size_t length, char *output, size_t *output_size, uint32_t flags) __asm__("swift_demangle");

#ifdef __cplusplus
}
#endif

#endif
