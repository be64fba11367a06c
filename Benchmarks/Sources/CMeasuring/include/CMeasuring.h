// SPDX-License-Identifier: Apache-2.0
//
// Calls that Swift cannot make by itself: with a variable number of arguments, or hidden unless _GNU_SOURCE is defined.

#ifndef CMEASURING_H
#define CMEASURING_H

// Makes this process the parent of all descendants whose own parent ends. Returns 0, or -1 with errno.
int measuring_adopt_descendants(void);

// pipe2(2) with O_CLOEXEC.
int measuring_make_pipe(int ends[2]);

#endif
