// SPDX-License-Identifier: Apache-2.0

/// What an engine can do besides calling functions.
struct EngineCapabilities: Sendable {
    /// What errors call it.
    var name: String
    /// Whether handles with descriptors, such as queues and locks, can be in functions, arguments and results.
    var passesDescriptors = false
    /// Whether a task that hangs or is cancelled is ended at once. Otherwise its call fails, and what it was at goes on.
    var endsTasks = false
    /// Whether a crash of a task is a loss, and not the end of the program.
    var survivesCrashes = false
    /// Whether workers can be replaced when they have too much memory.
    var limitsMemory = false
    /// Whether arguments and results stay what they are, without being encoded.
    var takesValues = false
    /// Whether tasks run on the thread of whoever waits for them.
    var runsOnCallers = false

    /// Throws unless `isThere`.
    func require(_ feature: String, _ isThere: Bool) throws(EngineUnsupported) {
        if !isThere { throw EngineUnsupported(feature: feature, engine: name) }
    }

    /// Throws when a pool asks for what this engine cannot do.
    func check(_ specification: WorkerSpecification) throws(EngineUnsupported) {
        if specification.maximumMemory != nil { try require("a limit on the memory of workers", limitsMemory) }
        if let initializer = specification.initializer { try check(initializer.descriptors) }
    }

    /// Throws when there are descriptors to pass and this engine cannot do so.
    @inline(__always)
    func check(_ descriptors: [Int32]) throws(EngineUnsupported) {
        if !descriptors.isEmpty { try require("handles in functions, arguments and results", passesDescriptors) }
    }
}
