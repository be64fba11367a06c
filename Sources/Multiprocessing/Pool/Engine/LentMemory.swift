// SPDX-License-Identifier: Apache-2.0

/// Memory that an engine lends for the arguments of a call before it is submitted: where the worker reads them in the end, so that they need not be copied there.
///
/// It is lent until this object is dropped or `giveBack` is called.
protocol LentMemory: AnyObject, Sendable {
    /// The memory, aligned to a page.
    var bytes: UnsafeMutableRawBufferPointer { get }
    /// Says that nothing in it is needed any more.
    func giveBack()
}
