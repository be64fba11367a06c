// SPDX-License-Identifier: Apache-2.0

/// Runs tasks on the thread of whoever waits for them.
struct InlineEngine: ExecutionEngine {
    var capabilities: EngineCapabilities {
        var capabilities = EngineCapabilities(name: "the caller's thread")
        capabilities.passesDescriptors = true
        capabilities.runsOnCallers = true
        return capabilities
    }

    func open(_ specification: WorkerSpecification, host: any EngineHost) throws -> any EngineSession {
        InlineSession(specification, host: host)
    }
}
