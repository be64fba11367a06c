// SPDX-License-Identifier: Apache-2.0
//
// A thread whose stack has overflowed has no room for a signal handler, so each thread of a child needs a second stack (sigaltstack(2)), and only the thread itself can ask for it. Most
// threads are made by others: by Dispatch, by C++ libraries. All of them call `pthread_create` through a slot of their image that the loader fills in (System V ABI, "Procedure
// Linkage Table"); in processes that this package started, these slots are pointed here. Offsets used:
//
//   dynamic entry (16 bytes)     0 tag: 5 names, 6 symbols, 7 and 8 relocations and their bytes, 23 and 2 those of the linkage table, 0x6ffffff9 how many to skip   8 value
//   relocation (24 bytes)        0 place   8 kind (low half), symbol (high half)
//   symbol (24 bytes)            0 name

internal import CMultiprocessing
internal import Glibc

/// Gives each thread a second stack for the handler of a crash.
enum ThreadStacks {
    /// Enough for a signal frame with all registers there are, and the handler.
    private static let size = 64 * 1024

    private typealias Start = @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?
    private typealias Create =
        @convention(c) (
            UnsafeMutablePointer<pthread_t>?, UnsafePointer<pthread_attr_t>?, Start?, UnsafeMutableRawPointer?
        ) -> Int32

    /// What a thread was made for.
    private struct Purpose {
        let start: Start
        let argument: UnsafeMutableRawPointer?
    }

    /// The real function. Not through a slot: those lead here.
    private static let create: Create? = {
        guard let symbol = dlsym(nil, "pthread_create") else { return nil }
        return unsafeBitCast(symbol, to: Create.self)
    }()

    /// Under it each thread keeps its second stack, to be let go of at its end, however it ends.
    private static let key: pthread_key_t? = {
        var key = pthread_key_t()
        guard pthread_key_create(&key, { ThreadStacks.release($0) }) == 0 else { return nil }
        return key
    }()

    private static let isInstalled: Bool = {
        guard create != nil, key != nil else { return false }
        LoadedImage.forEach { image in
            redirect(image)
            return true
        }
        return true
    }()

    /// Sees to it that all threads that are made from now on, in this process and in copies of it, have a second stack. While there is one thread.
    static func install() {
        // Without it a stack overflow of another thread is told by its signal alone.
        _ = isInstalled
    }

    // MARK: - Threads

    private static let createWithStack: Create = { thread, attributes, start, argument in
        guard let create = ThreadStacks.create, let start else { return EINVAL }
        let purpose = UnsafeMutablePointer<Purpose>.allocate(capacity: 1)
        purpose.initialize(to: Purpose(start: start, argument: argument))
        let error = create(thread, attributes, ThreadStacks.run, purpose)
        if error != 0 { purpose.deallocate() }
        return error
    }

    private static let run: Start = { pointer in
        guard let pointer else { return nil }
        let memory = pointer.assumingMemoryBound(to: Purpose.self)
        let purpose = memory.move()
        memory.deallocate()
        ThreadStacks.acquire()
        return purpose.start(purpose.argument)
    }

    /// Gives the calling thread its second stack.
    private static func acquire() {
        let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
        guard let key, let memory, memory != MAP_FAILED else { return }
        var stack = stack_t(ss_sp: memory, ss_flags: 0, ss_size: size)
        if sigaltstack(&stack, nil) < 0 || pthread_setspecific(key, memory) != 0 { release(memory) }
    }

    private static func release(_ memory: UnsafeMutableRawPointer?) {
        guard let memory else { return }
        var stack = stack_t(ss_sp: nil, ss_flags: Int32(SS_DISABLE), ss_size: 0)
        sigaltstack(&stack, nil)
        munmap(memory, size)
    }

    // MARK: - Images

    /// Whether a relocation is an address of a symbol that the loader fills in.
    @inline(__always)
    private static func isSlot(_ kind: UInt32) -> Bool {
        #if arch(x86_64)
        kind == 6 || kind == 7  // R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT
        #elseif arch(arm64)
        kind == 1025 || kind == 1026  // R_AARCH64_GLOB_DAT, R_AARCH64_JUMP_SLOT
        #else
        false
        #endif
    }

    /// Points the slots of an image for `pthread_create` here. A program with its libraries has ten thousand relocations, and its first child waits for this.
    private static func redirect(_ image: LoadedImage) {
        guard let dynamic = image.dynamic else { return }
        func value(_ tag: Int) -> UInt? {
            var entry = dynamic
            while case let current = entry.load(as: Int.self), current != 0 {
                if current == tag { return entry.load(fromByteOffset: 8, as: UInt.self) }
                entry += 16
            }
            return nil
        }
        /// The loader may or may not have added the base to the addresses in the table.
        func address(_ tag: Int) -> UnsafeRawPointer? {
            value(tag).flatMap { UnsafeRawPointer(bitPattern: $0 < image.base ? $0 + image.base : $0) }
        }
        guard let names = address(5), let symbols = address(6) else { return }
        for (table, bytes, skipped) in [(7, 8, Int(value(0x6fff_fff9) ?? 0)), (23, 2, 0)] {
            guard let relocations = address(table), let size = value(bytes) else { continue }
            var place = skipped * 24
            while place < Int(size) {
                defer { place += 24 }
                let info = relocations.load(fromByteOffset: place + 8, as: UInt64.self)
                guard isSlot(UInt32(truncatingIfNeeded: info)) else { continue }
                let name = names + Int(symbols.load(fromByteOffset: Int(info >> 32) * 24, as: UInt32.self))
                guard strcmp(name.assumingMemoryBound(to: CChar.self), "pthread_create") == 0 else { continue }
                set(image.base + relocations.load(fromByteOffset: place, as: UInt.self), in: image)
            }
        }
    }

    private static func set(_ slot: UInt, in image: LoadedImage) {
        guard let pointer = UnsafeMutableRawPointer(bitPattern: slot) else { return }
        // The loader has made what it filled in at the start read-only.
        let page = UInt(sysconf(Int32(_SC_PAGESIZE)))
        let start = UnsafeMutableRawPointer(bitPattern: slot & ~(page - 1))
        let isSealed = image.sealed.lowerBound <= slot && slot < image.sealed.upperBound & ~(page - 1)
        if isSealed, mprotect(start, Int(page), PROT_READ | PROT_WRITE) != 0 { return }
        pointer.storeBytes(of: createWithStack, as: Create.self)
        if isSealed { mprotect(start, Int(page), PROT_READ) }
    }
}
