// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Measuring

/// Where the programs of the systems are, and how they are called.
struct Programs {
    /// The benchmarks' folder.
    private let package: String
    /// The executable of this process, and the folder where it and the compiled peers lie.
    private let ownExecutable: String
    private var products: String { Self.parent(of: ownExecutable) }

    /// Finds the programs.
    ///
    /// - Throws: `MeasuringError` when this process cannot tell where its executable is.
    init() throws {
        package = Self.parent(of: Self.parent(of: Self.parent(of: #filePath)))
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0 else { throw MeasuringError("/proc/self/exe cannot be read") }
        ownExecutable = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// This program with children of every kind.
    var family: Program { Program(executable: ownExecutable, arguments: ["--family"]) }

    /// Returns the program that measures `metric` of `system` for so long.
    func program(for metric: Metric, of system: System, seconds: Double) -> Program {
        let program = freeProgram(for: metric, of: system, seconds: seconds)
        guard metric.isPinned else { return program }
        let arguments = ["-c", Machine.firstProcessor, program.executable] + program.arguments
        return Program(executable: "taskset", arguments: arguments)
    }

    private func freeProgram(for metric: Metric, of system: System, seconds: Double) -> Program {
        let call = [metric.name, "\(seconds)"]
        switch system {
        case .subject where metric.work != nil:
            return Program(executable: ownExecutable, arguments: ["--measure"] + call)
        case .pointer, .threadPool, .taskGroup:
            return Program(executable: ownExecutable, arguments: ["--measure"] + call + [system.option])
        case .subject, .foundation:
            return Program(executable: products + "/FoundationPeer", arguments: call + [system.option])
        case .cpython:
            return Program(executable: "python3", arguments: ["-B", package + "/Peers/cpython"] + call)
        case .loky, .mpire, .pebble, .fasterFIFO, .iceoryx2:
            let arguments = ["-B", package + "/Peers/packages", system.rawValue] + call
            return Program(executable: "python3", arguments: arguments)
        case .mpi4py:
            // Both ranks run the same program; the first one tells.
            let options = ["--allow-run-as-root", "--oversubscribe", "-n", "2"]
            let arguments = ["python3", "-B", package + "/Peers/packages", system.rawValue] + call
            return Program(executable: "mpirun", arguments: options + arguments)
        case .boost:
            return Program(executable: products + "/BoostPeer", arguments: call)
        case .limits:
            return Program(executable: products + "/LimitsPeer", arguments: call + [ownExecutable])
        }
    }

    /// Whether a system that need not be installed is.
    func isInstalled(_ system: System) -> Bool {
        switch system {
        case .boost: return succeeds(Program(executable: products + "/BoostPeer", arguments: ["--installed"]))
        case .cpython: return succeeds(Program(executable: "python3", arguments: ["--version"]))
        case .mpi4py where !succeeds(Program(executable: "mpirun", arguments: ["--version"])): return false
        default: break
        }
        guard let module = system.pythonModule else { return true }
        let code = "import importlib.util as u; print(u.find_spec('\(module)') is not None)"
        let program = Program(executable: "python3", arguments: ["-c", code])
        return (try? program.run(timeout: 30))?.hasPrefix("True") ?? false
    }

    private func succeeds(_ program: Program) -> Bool {
        (try? program.run(timeout: 30)) != nil
    }

    /// Builds the peers that have to be compiled: `swift run` builds only what it runs.
    ///
    /// - Throws: `MeasuringError` when they cannot be built.
    func build() throws {
        #if DEBUG
        let configuration = "debug"
        #else
        let configuration = "release"
        #endif
        // …/.build/x86_64-unknown-linux-gnu/release/Benchmarks
        let scratch = Self.parent(of: Self.parent(of: products))
        let arguments = ["build", "--package-path", package, "--scratch-path", scratch, "-c", configuration]
        do {
            _ = try Program(executable: "swift", arguments: arguments).run(timeout: 1800)
        } catch {
            throw MeasuringError("the peers could not be built: \(error)")
        }
    }

    private static func parent(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    }
}
