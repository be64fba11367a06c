// SPDX-License-Identifier: Apache-2.0
//
// fork, and what the Swift runtime does not know of it.
//
// The runtime's locks (`swift_once`, the standard library's `Mutex`) are futexes of the priority-inheriting kind: the word holds the number of the thread that has it, and each thread keeps its number in a
// thread-local variable. The thread that returns from fork in the child has a copy of that variable with the number it had in the parent. It takes and gives up free locks with it; but as soon as a
// second thread waits for such a lock the kernel finds an owner that is no thread of this process, and both loop on EPERM for ever. So the child forgets the number, and the runtime asks for it again.
//
// The variables cannot be linked to: one is in each of the runtime's libraries, or in the executable that they were linked into, and one in each file that the standard library's `Mutex` was inlined into.
// Each is a word with the thread's number; the symbol tables tell it from another variable that has that value by chance. Chance is not rare: the upper half of an address is a number such as 0x55d6 or 0x7f40, and
// so are numbers of threads.

internal import CMultiprocessing
internal import Glibc

/// A lock, and the thread that holds it; 0 where the lock does not say.
package struct HeldLock: Hashable, Sendable {
    package let address: UInt
    package let thread: Int32

    package init(address: UInt, thread: Int32) {
        self.address = address
        self.thread = thread
    }
}

/// What became of an attempt to copy this process.
package enum CopyOutcome: Sendable {
    /// What fork(2) returns.
    case forked(Int32)
    /// There is no copy: other threads held locks.
    case held([HeldLock])
}

/// Copies of this process.
package enum Fork {
    /// A thread-local word with the number of the calling thread in it.
    private struct Word {
        /// The file it belongs to; empty for the executable.
        let image: String
        /// Where it lies among the variables of that file.
        let offset: Int
        /// Where it lies for the calling thread.
        nonisolated(unsafe) let place: UnsafeMutablePointer<UInt32>  // safe because only the calling thread uses it
    }

    /// Calls `fork`. In the child the runtime's locks know the thread by its new number.
    package static func fork() -> Int32 {
        // Before the fork: the child must not take the loader's lock, which another thread may have held.
        let words = threadNumbers().filter(isOfRuntime)
        let pid = mp_fork()
        if pid == 0 { forgetNumber(words) }
        return pid
    }

    /// Calls `fork` in a process that has other threads, and leaves a child only where none of them held a lock that can be seen (heldlocks.c) and that it would wait for. Not to be called by two threads at once.
    ///
    /// - Parameter known: Locks that do not count.
    package static func fork(besides known: [HeldLock]) -> CopyOutcome {
        let words = threadNumbers().filter(isOfRuntime)
        let entries = known.map { mp_held_lock(address: $0.address, thread: $0.thread) }
        var held = [mp_held_lock](repeating: mp_held_lock(), count: Int(MP_HELD_LOCKS))
        var count = 0
        let pid = mp_fork_between_locks(entries, entries.count, &held, &count)
        if pid == 0 { forgetNumber(words) }
        guard pid == MP_LOCK_HELD else { return .forked(pid) }
        return .held(held.prefix(count).map { HeldLock(address: $0.address, thread: $0.thread) })
    }

    private static func forgetNumber(_ words: [Word]) {
        for word in words { word.place.pointee = 0 }
    }

    // MARK: - Finding the variables

    private struct Search {
        let number: UInt32
        /// This package's own, which is forgotten in another way.
        let own: Range<UInt>
        var words: [Word] = []

        /// Looks at all variables that a file has for the calling thread.
        mutating func look(at image: LoadedImage) {
            guard let first = image.threadVariables else { return }
            for offset in stride(from: 0, to: image.threadVariablesSize & ~3, by: 4) {
                let place = (first + offset).assumingMemoryBound(to: UInt32.self)
                guard place.pointee == number, !own.contains(UInt(bitPattern: place)) else { continue }
                words.append(Word(image: image.name, offset: offset, place: place))
            }
        }
    }

    private static func threadNumbers() -> [Word] {
        guard let thread = mp_this_thread() else { return [] }
        let start = UInt(bitPattern: thread)
        var search = Search(number: thread.pointee.id, own: start..<start + UInt(MemoryLayout<mp_thread>.size))
        LoadedImage.forEach { image in
            search.look(at: image)
            return true
        }
        return search.words
    }

    /// What is known of a file.
    private enum Contents {
        /// Its symbols tell where the runtime's variables are.
        case offsets(Set<Int>)
        /// It has Swift code, and no symbols.
        case stripped
        /// It has no Swift code, and no symbols: such as the C library.
        case foreign
    }

    /// The files that were asked for before.
    private final class Known: Sendable {
        let files = PlainMutex<[String: Contents]>([:])
    }

    /// Another thread may be looking at the moment of a fork.
    private static let known = ForkLocal { Known() }

    private static func isOfRuntime(_ word: Word) -> Bool {
        // The runtime's own: there are no others but pointers.
        let file = word.image.split(separator: "/").last
        if file?.hasPrefix("libswift") == true { return !isUpperHalf(word.place) }
        // Dispatch has one too, which it takes care of itself. The server finds it before its first child, who is waited for: its symbols would have to be read for nothing.
        if file?.hasPrefix("libdispatch") == true { return false }
        let contents = known.value.files.withLock { files in
            if let contents = files[word.image] { return contents }
            let contents = readContents(word.image.isEmpty ? "/proc/self/exe" : word.image)
            files[word.image] = contents
            return contents
        }
        switch contents {
        case .offsets(let offsets): return offsets.contains(word.offset)
        // What has the number of the thread is most likely that: in the child it is no number of any thread.
        case .stripped: return !isUpperHalf(word.place)
        case .foreign: return false
        }
    }

    private static func readContents(_ path: String) -> Contents {
        guard let table = SymbolTable(path: path) else {
            return ObjectFile(path: path)?.hasSection(withPrefix: "swift5_") == true ? .stripped : .foreign
        }
        var offsets: Set<Int> = []
        table.forEach { symbol in
            // "_swift_stdlib_gettid.tid" and "swift::threading_impl::linux::ulock_get_tid()::tid"
            guard symbol.isThreadLocal else { return }
            if strstr(symbol.name, "_swift_stdlib_gettid") != nil || strstr(symbol.name, "ulock_get_tid") != nil {
                offsets.insert(Int(symbol.address))
            }
        }
        return .offsets(offsets)
    }

    /// Whether a word is the upper half of a pointer to something.
    package static func isUpperHalf(_ place: UnsafePointer<UInt32>) -> Bool {
        let word = UnsafeRawPointer(place)
        guard UInt(bitPattern: word) % 8 == 4 else { return false }
        let address = (word - 4).load(as: UInt.self)
        let page = UInt(getpagesize())
        var residence: UInt8 = 0
        // Fails for a page where nothing is mapped (mincore(2)).
        return mincore(UnsafeMutableRawPointer(bitPattern: address & ~(page - 1)), Int(page), &residence) == 0
    }
}
