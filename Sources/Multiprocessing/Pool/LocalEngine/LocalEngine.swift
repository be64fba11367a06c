// SPDX-License-Identifier: Apache-2.0

internal import MultiprocessingPrimitives

/// Runs tasks in processes of this machine, started by this package.
struct LocalEngine: ExecutionEngine {
    var capabilities: EngineCapabilities {
        var capabilities = EngineCapabilities(name: "processes of this machine")
        capabilities.passesDescriptors = true
        capabilities.endsTasks = true
        capabilities.survivesCrashes = true
        capabilities.limitsMemory = true
        return capabilities
    }

    func open(_ specification: WorkerSpecification, host: any EngineHost) throws -> any EngineSession {
        try LocalSession(specification, host: host)
    }
}
