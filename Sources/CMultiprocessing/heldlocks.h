// SPDX-License-Identifier: Apache-2.0
//
// Locks that a copy of this process has from threads that it does not have. See heldlocks.c.

#ifndef HELDLOCKS_H
#define HELDLOCKS_H

#include "CMultiprocessing.h"

// A part of an image's data, in whole words.
struct part {
    uintptr_t start;
    size_t count;
    bool may_have_onces;  // it begins as zeros, and belongs to Swift code
};

// What the parent notes before it is copied. Begins as zeros; memory is kept for the next time.
struct surroundings {
    struct part *parts;
    size_t part_count, part_capacity;
    pid_t *threads;  // the others
    size_t thread_count, thread_capacity;
    pid_t process;
    pid_t own;  // the calling thread
    pid_t largest;  // the largest number of a thread
    size_t page_size;
    uint64_t *words;  // for the copy to look through; not in static data, where it would find itself
};

// Notes the threads, and where there are others, the images' data. Returns 0 or an errno.
int note_surroundings(struct surroundings *surroundings);

// Looks, in the copy, for locks that were held by other threads and are none of `known`. Stores at most MP_HELD_LOCKS of them and returns how many. Takes no locks and no memory.
size_t find_held_locks(
    const struct surroundings *parent, const struct mp_held_lock *known, size_t count, struct mp_held_lock *held
);

#endif
