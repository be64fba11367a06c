// SPDX-License-Identifier: Apache-2.0

#define _GNU_SOURCE
#include "CMeasuring.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

int measuring_adopt_descendants(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

int measuring_make_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }
