// SPDX-License-Identifier: Apache-2.0

/// Runs tasks on threads of this process.
struct ThreadEngine: ExecutionEngine {
    var capabilities: EngineCapabilities {
        var capabilities = EngineCapabilities(name: "threads of this process")
        capabilities.passesDescriptors = true
        capabilities.takesValues = true
        return capabilities
    }

    func open(_ specification: WorkerSpecification, host: any EngineHost) throws -> any EngineSession {
        ThreadSession(specification, host: host)
    }
}
