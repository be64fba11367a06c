// SPDX-License-Identifier: Apache-2.0
//
// Control before `main`.
//
// A child of this package is the program's own executable, started anew, and must run none of the program's `main`. glibc's start-up code calls
// `__libc_start_main(main, …)` once every library is loaded; defining that symbol in the program takes the call, and handing the real one a `main` of ours gives
// control in an ordinary main context: after all constructors, with a proper bottom frame, so that Dispatch, Swift concurrency and the main actor work.
// (A constructor function will not do: `dispatchMain` crashes in it, and with a static standard library Dispatch has not started yet.)
//
// Where the C library is another one the symbol does not exist, `mp_hook_is_available` says so, and the program calls `Multiprocessing.bootstrap()` as the
// first line of its `main` instead, which runs the same `mp_serve_if_marked`.

#include "CMultiprocessing.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

// The Swift side of a marked process; never returns. Weak, so that a program that links only the lower rooms links at all.
__attribute__((weak)) void multiprocessing_serve(int32_t socket);

// Whether this process is one that this package started.
static bool is_serving;

bool mp_is_privileged(void) { return getauxval(AT_SECURE) != 0 || getuid() != geteuid() || getgid() != getegid(); }

void mp_serve_if_marked(void) {
    const char *marker = getenv(MP_MARKER);
    if (marker == NULL) return;
    char *end = NULL;
    errno = 0;
    long fd = strtol(marker, &end, 10);
    bool is_number = errno == 0 && end != marker && *end == '\0' && fd >= 3 && fd < 1 << 20;
    // Whoever this process starts must not take itself for marked.
    unsetenv(MP_MARKER);
    // In a set-user-id program the environment belongs to somebody else. Where this program itself was the parent all the same, `main` must not run a second time.
    if (mp_is_privileged() && is_number && mp_peer_of_socket((int)fd) == getppid()) _exit(1);
    if (mp_is_privileged() || !is_number || multiprocessing_serve == NULL) return;
    // The variable alone proves nothing: only a socket that this program's own parent made does.
    pid_t peer = mp_peer_of_socket((int)fd);
    if (peer < 0) return;
    // The parent died before this process got here: there is nobody to serve, and running the user's `main` a second time would be worse.
    if (peer != getppid()) _exit(0);
    fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    is_serving = true;
    multiprocessing_serve((int32_t)fd);
    _exit(0);
}

#ifdef __GLIBC__

typedef int main_function(int, char **, char **);
static main_function *program_main;
static void (*run_destructors)(void);

// The loader's handler at exit, which calls every library's destructors. A child leaves it out: all that these ever do is to tidy up memory that ends with the process, and
// going through every library costs a hundred page faults, half of the life of a short child. What was registered with `atexit` runs all the same.
static void run_destructors_unless_serving(void) {
    if (!is_serving) run_destructors();
}

static int main_after_hook(int argc, char **argv, char **envp) {
    mp_serve_if_marked();
    return program_main(argc, argv, envp);
}

bool mp_hook_is_available(void) { return program_main != NULL; }

// Runs before the sanitizers' own start-up code, which must not be called yet.
__attribute__((no_sanitize("address", "thread")))
int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*rtld_fini)(void), void *stack_end) {
    int (*real)(main_function *, int, char **, void (*)(void), void (*)(void), void (*)(void), void *) = dlsym(RTLD_NEXT, "__libc_start_main");
    program_main = main;
    run_destructors = rtld_fini;
    return real(main_after_hook, argc, argv, init, fini, rtld_fini == NULL ? NULL : run_destructors_unless_serving, stack_end);
}

#else

bool mp_hook_is_available(void) { return false; }

#endif
