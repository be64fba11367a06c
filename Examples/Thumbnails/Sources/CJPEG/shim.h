// SPDX-License-Identifier: Apache-2.0

// The library's header needs the first two and does not include them.
#include <stddef.h>
#include <stdio.h>
#include <jpeglib.h>
