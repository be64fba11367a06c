// SPDX-License-Identifier: Apache-2.0
//
// What a dying child can still say.
//
// The runtime writes "Fatal error: …" to the C library's `stderr` stream and nowhere else, then traps. So the stream is replaced (a plain variable in glibc: "Standard
// Streams" in its manual) by one that writes to descriptor 2 as before and remembers the text. The handler of the trap sends text, signal and stack as one packet.
// Only async-signal-safe calls are made (signal-safety(7)); the stack is walked by its frame pointers, which Swift keeps, and read through the kernel, which
// answers EFAULT for a broken chain where a load would fault. The unwinder would take the loader's lock, which the crashed thread may hold.

#define _GNU_SOURCE
#include "CMultiprocessing.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static const int crash_signals[] = {SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGSYS};
#define SIGNAL_COUNT (sizeof crash_signals / sizeof crash_signals[0])

static struct sigaction previous_actions[SIGNAL_COUNT];
static struct mp_crash_report report;
static int report_socket = -1;
static pid_t report_process;  // a copy of it made by fork must not speak for it
static const struct mp_image_range *report_images;
static size_t report_image_count;
// The first thread that crashes, by its kernel's number, while it reports; -1 afterwards, 0 before. Others only die, but not before that is done: the signal they die of ends all threads.
static volatile int reporter;

// MARK: - The recorder behind stderr

static volatile bool found_last_words, is_in_stack_trace;

// Keeps the text from the last "Fatal error" (or failed precondition or assertion) on, up to the runtime's own stack trace; before any, whatever was written last (C's assert, abort messages).
static void record(const char *text, size_t size) {
    // Being sent, or sent.
    if (__atomic_load_n(&reporter, __ATOMIC_RELAXED) != 0) return;
    bool is_fatal = memmem(text, size, "atal error", 10) != NULL || memmem(text, size, "recondition failed", 18) != NULL || memmem(text, size, "ssertion failed", 15) != NULL;
    if (is_fatal) is_in_stack_trace = false;
    if (size >= 19 && memcmp(text, "Current stack trace", 19) == 0) is_in_stack_trace = true;
    if (is_in_stack_trace) return;
    if (is_fatal || !found_last_words) report.text_size = 0;
    if (is_fatal) found_last_words = true;
    size_t room = MP_CRASH_TEXT - report.text_size;
    if (size > room) size = room;
    memcpy(report.text + report.text_size, text, size);
    report.text_size += (uint32_t)size;
}

static ssize_t write_and_record(void *cookie, const char *text, size_t size) {
    (void)cookie;
    record(text, size);
    for (size_t done = 0; done < size;) {
        ssize_t written = write(STDERR_FILENO, text + done, size - done);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return done > 0 ? (ssize_t)done : -1;
        done += (size_t)written;
    }
    return (ssize_t)size;
}

static void replace_stderr(void) {
    cookie_io_functions_t functions = {.write = write_and_record};
    FILE *stream = fopencookie(NULL, "w", functions);
    if (stream == NULL) return;
    setvbuf(stream, NULL, _IONBF, 0);
    stream->_fileno = STDERR_FILENO;  // for callers of fileno(stderr), who ask whether it is a terminal
    stderr = stream;
}

// MARK: - The signal handler

static bool read_pair(uintptr_t address, uintptr_t pair[2]) {
    struct iovec here = {pair, 2 * sizeof(uintptr_t)}, there = {(void *)address, 2 * sizeof(uintptr_t)};
    // Not by syscall(2), which reads the last argument as 64 bits.
    return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == (ssize_t)(2 * sizeof(uintptr_t));
}

static void add_frame(uintptr_t address) {
    struct mp_crash_frame *frame = &report.frames[report.frame_count++];
    *frame = (struct mp_crash_frame){.image = 0, .offset = address};
    for (size_t i = 0; i < report_image_count; i++)
        if (address >= report_images[i].start && address < report_images[i].end)
            *frame = (struct mp_crash_frame){.image = report_images[i].identity, .offset = address - report_images[i].base};
}

static void walk_stack(const ucontext_t *context) {
#if defined(__x86_64__)
    uintptr_t pc = (uintptr_t)context->uc_mcontext.gregs[REG_RIP], frame = (uintptr_t)context->uc_mcontext.gregs[REG_RBP];
#elif defined(__aarch64__)
    uintptr_t pc = (uintptr_t)context->uc_mcontext.pc, frame = (uintptr_t)context->uc_mcontext.regs[29];
#else
    uintptr_t pc = 0, frame = 0;
#endif
    uintptr_t pair[2];
    if (pc != 0) add_frame(pc);
    while (report.frame_count < MP_CRASH_FRAMES && frame != 0 && frame % sizeof(uintptr_t) == 0 && read_pair(frame, pair) && pair[1] != 0) {
        add_frame(pair[1]);
        if (pair[0] <= frame) break;  // frames lie ever higher; anything else is a broken chain
        frame = pair[0];
    }
}

// Reports this crash, or waits until the one before is reported: some seconds at most, where others have the processors.
static void report_crash(int signal, const siginfo_t *info, const ucontext_t *context) {
    int thread = (int)syscall(SYS_gettid), first = 0;
    if (__atomic_compare_exchange_n(&reporter, &first, thread, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        report.signal = signal;
        report.address = info->si_code > 0 ? (uint64_t)(uintptr_t)info->si_addr : 0;
        walk_stack(context);
        send(report_socket, &report, sizeof report, MSG_NOSIGNAL | MSG_DONTWAIT);
        __atomic_store_n(&reporter, -1, __ATOMIC_RELEASE);
        return;
    }
    // A crash while it reports, on the same thread, is the end.
    for (int i = 0; i < 5000 && first > 0 && first != thread; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        first = __atomic_load_n(&reporter, __ATOMIC_ACQUIRE);
    }
}

static void handle_crash(int signal, siginfo_t *info, void *context) {
    int saved_errno = errno;
    if (getpid() == report_process) report_crash(signal, info, context);
    size_t index = 0;
    while (crash_signals[index] != signal) index++;
    struct sigaction previous = previous_actions[index];
    if (info->si_code <= 0) {
        // A signal that was sent does not come again by itself. Whoever was there before us (the runtime's own backtracer) has its say, then the signal ends the process.
        bool is_handler = previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN;
        if (is_handler && (previous.sa_flags & SA_SIGINFO) != 0) previous.sa_sigaction(signal, info, context);
        if (is_handler && (previous.sa_flags & SA_SIGINFO) == 0) previous.sa_handler(signal);
        if (is_handler) previous = (struct sigaction){.sa_handler = SIG_DFL};
    }
    // Back to what there was before, which sees the signal as if nothing had happened: a faulting instruction faults again on return.
    sigaction(signal, &previous, NULL);
    if (info->si_code <= 0) syscall(SYS_tgkill, getpid(), (int)syscall(SYS_gettid), signal);
    errno = saved_errno;
}

void mp_set_crash_socket(int socket) {
    report_socket = socket;
    report_process = getpid();
}

int mp_install_crash_reporter(uint32_t kind, const struct mp_image_range *images, size_t image_count) {
    report_images = images;
    report_image_count = image_count;
    report.kind = kind;
    replace_stderr();
    // A stack overflow leaves no room on the stack itself. This covers the calling thread, which runs synchronous bodies.
    size_t size = 64 * 1024;
    void *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack != MAP_FAILED) sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = size}, NULL);
    struct sigaction action = {.sa_sigaction = handle_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < SIGNAL_COUNT; i++)
        if (sigaction(crash_signals[i], &action, &previous_actions[i]) < 0) return -1;
    return 0;
}
