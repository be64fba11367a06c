// SPDX-License-Identifier: Apache-2.0

import Testing

/// Tests of what processes share, with real processes. One after another: they fork the test process, and measure.
@Suite(.serialized)
struct PrimitivesTests {}
