// SPDX-License-Identifier: Apache-2.0
//
// What only tests need of C.

#ifndef CLABORATORY_H
#define CLABORATORY_H

#include <stdbool.h>
#include <stdint.h>

// The kernel's number of the calling thread.
int laboratory_thread_id(void);

// A variable of the calling thread, as a program may have one.
uint32_t *laboratory_thread_variable(void);

// Locks of the C library in static data: one that begins as zeros, and one that does not.
void laboratory_lock(bool begins_as_zeros);
void laboratory_unlock(bool begins_as_zeros);
uintptr_t laboratory_lock_address(bool begins_as_zeros);

// Waits, with such a lock that is given back meanwhile, until `laboratory_signal` is called; and whether somebody does.
void laboratory_wait(bool begins_as_zeros);
bool laboratory_is_waited_for(bool begins_as_zeros);
void laboratory_signal(bool begins_as_zeros);

// Takes away the right to read a page of static data that was written, or gives it back. Returns -1 when that cannot be.
int laboratory_protect_page(bool is_protected);

// How often this process has been about to fork since `laboratory_count_forks` was called.
void laboratory_count_forks(void);
int laboratory_forks(void);

// Lets the calling thread, and what it forks, run on one processor only. Returns -1 when that cannot be.
int laboratory_use_one_processor(void);

// Lets other threads have the processor rather than the calling one, though not for ever. Returns -1 when that cannot be.
int laboratory_prefer_others(void);

// Sleeps for so many nanoseconds, and not 50 microseconds longer, as otherwise.
void laboratory_sleep(long nanoseconds);

// Writes words to the C library's `stderr`.
void laboratory_say(const char *words);

// Lets the kernel end the calling process (SIGSYS) when it is about to wake somebody: right before the system call, after all that was done for it. Returns -1 when that cannot be.
int laboratory_die_at_wake(void);

// Ends another thread of this process, which may be deaf to signals, and returns when it is gone: -1 when that cannot be.
int laboratory_end_thread(int thread);

// Whether this process may do with a child what the functions below do.
bool laboratory_can_step(void);

// Stops the calling process, a child, until its parent lets it go on by the functions below. Returns -1 when that cannot be.
int laboratory_stop_for_parent(void);

// Lets a stopped child execute one instruction, or go on up to the next beginning or end of a system call; the last one waits until it has. Returned is its wait status, or -1 with errno, or -2 when it has not yet.
int laboratory_begin_step(int pid);
int laboratory_look_for_stop(int pid);
int laboratory_continue_to_call(int pid);

// The same in two steps.
int laboratory_begin_to_call(int pid);
int laboratory_wait_for_stop(int pid);

// Whether a stopped child is about to sleep on the word at `address`, among others.
bool laboratory_is_about_to_sleep(int pid, const void *address);

// Lets a stopped child go its own way.
int laboratory_let_go(int pid);

#endif
