// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// The package's own lock, in place of the standard library's, which does not work in a forked copy of a process.
typealias Mutex<Value: ~Copyable> = FutexMutex<Value>
