// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing

/// Has hardly any descriptors or memory, and tries things all the same: what does not work throws, and nothing else.
func starveling(_ stage: Stage, _ random: Seeded) throws {
    var random = random
    let open = Remnants.entries("/proc/self/fd").count
    var limit = rlimit()
    limit.rlim_cur = rlim_t(open + Int.random(in: 0...30, using: &random))
    limit.rlim_max = limit.rlim_cur
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    // Should the last check fail, this process dies of SIGXFSZ, and not everybody of hunger.
    var largest = rlimit(rlim_cur: 1 << 49, rlim_max: 1 << 49)
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &largest)
    var mine: [any Sendable] = []
    while !stage.hasEnded, mine.count < 40 {
        // Which error it is depends on what there was none of.
        switch Int.random(in: 0..<6, using: &random) {
        case 0: if let queue = try? Queue<Int>(capacity: 10) { mine.append(queue) }
        case 1: if let array = try? SharedArray<Int>(count: 1000) { mine.append(array) }
        case 2: if let ends = try? Connection.pipe() { mine += [ends.0, ends.1] }
        case 3:
            if let result = try? ChildProcess.run(timeout: .seconds(20), { 7 }) {
                try check(result == 7, "7 is \(result)")
            }
        case 4:
            if let pool = try? Pool(processes: 1) {
                if let result = try? pool.apply({ 8 }) { try check(result == 8, "8 is \(result)") }
                pool.terminate()
                try pool.join()
            }
        default:
            if (try? SharedMemory(size: 1 << 50)) != nil { throw Violation("there is a pebibyte of memory") }
        }
    }
}
