// SPDX-License-Identifier: Apache-2.0

internal import Multiprocessing

// MARK: - 2. Creating and running a process

/// Starts one process and waits for it.
func creatingAProcess() throws {
    let process = ChildProcess { print("Worker process is running") }
    try process.start()
    try process.join()
}

// MARK: - 3. Running multiple processes

/// Says that it runs. Any function whose parameters are `Codable` can be the target of a process.
@Sendable private func task(_ number: Int) {
    print("Task \(number) is running")
}

/// Starts three processes that run at the same time, and waits for all. Their lines come in any order.
func runningSeveralProcesses() throws {
    var processes: [ChildProcess] = []
    for number in 0..<3 {
        let process = ChildProcess(target: task, arguments: number)
        try process.start()
        processes.append(process)
    }
    for process in processes {
        try process.join()
    }
}

// MARK: - 12. The number of processors

/// Prints how many processors the machine has. How many of them this program may use tells `availableCPUCount`, which knows of affinities and of the limits of containers.
func numberOfProcessors() {
    print(cpuCount)
}
