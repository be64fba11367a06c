// SPDX-License-Identifier: Apache-2.0
//
// Locks in static data that a copy of this process has from threads that it does not have. See heldlocks.c.

#ifndef HELDLOCKS_H
#define HELDLOCKS_H

#include "CMultiprocessing.h"

// A part of an image's data, in whole words.
struct part {
    const uint64_t *words;
    size_t count;
    bool begins_as_zeros;
};

// What the parent notes before it is copied. Begins as zeros; memory is kept for the next time.
struct surroundings {
    struct part *parts;
    size_t part_count, part_capacity;
    pid_t *threads;  // the others
    size_t thread_count, thread_capacity;
    pid_t process;
    pid_t own;  // the calling thread
    size_t page_size;
};

// Notes the threads, and where there are others, the images' data. Returns 0 or an errno.
int note_surroundings(struct surroundings *surroundings);

// Looks, in the copy, for a lock that was held by another thread and is none of `known`. All zeros: there is none. Takes no locks and no memory.
struct mp_held_lock find_held_lock(const struct surroundings *parent, const struct mp_held_lock *known, size_t count);

#endif
