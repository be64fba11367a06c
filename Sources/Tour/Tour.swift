// SPDX-License-Identifier: Apache-2.0
//
// The sections of a well-known tutorial of Python's multiprocessing, in Swift and in its order. Each prints its heading, and then what the tutorial's section prints.

internal import Glibc

/// The program.
@main
enum Tour {
    /// The sections, in the tutorial's order.
    private static let sections = [
        Section("What is multiprocessing?", whatItIs),
        Section("Creating and running a process", creatingAProcess),
        Section("Running multiple processes", runningSeveralProcesses),
        Section("Using a process pool", pools),
        Section("A single task: apply", singleCalls),
        Section("Without blocking: applyAsync", asynchronousCalls),
        Section("A queue between processes", queues),
        Section("A pipe between processes", pipes),
        Section("Shared memory: SharedValue", sharedMemory),
        Section("No race conditions: Lock", locks),
        Section("Shared data structures: Manager", managers),
        Section("The number of processors", numberOfProcessors),
        Section("Daemons: tasks in the background", daemons),
        Section("Processes and threads", comparison),
        Section("Best practices", bestPractices),
    ]

    /// Runs one section after the other. No guard around it is needed: a child runs the function it was given and none of this.
    static func main() throws {
        for (number, section) in zip(1..., sections) {
            print("\(number == 1 ? "" : "\n")\(number). \(section.title)")
            // What is still buffered here would come after what a child writes.
            fflush(nil)
            try section.run()
        }
    }
}
