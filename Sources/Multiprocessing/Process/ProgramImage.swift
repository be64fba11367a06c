// SPDX-License-Identifier: Apache-2.0

internal import CMultiprocessing
internal import Glibc
internal import MultiprocessingPrimitives

/// The program's own executable, to be started anew.
enum ProgramImage {
    /// Starts it with this program's arguments, marked to talk through `socket`. Returns its pid.
    static func start(_ socket: Int32) throws -> Int32 {
        guard mp_hook_is_available() || Multiprocessing.isBootstrapped else {
            throw ProcessError(
                .startMethodUnsupported,
                "on this platform a program must call Multiprocessing.bootstrap() as the first line of its main function before it can start processes"
            )
        }
        guard !mp_is_privileged() else {
            throw ProcessError(
                .startMethodUnsupported,
                "a program with more rights than its user (set-user-id, file capabilities) cannot start itself anew; use .fork"
            )
        }
        var pid: pid_t = 0
        let error = mp_spawn_self(CommandLine.unsafeArgv, socket, &pid)
        guard error == 0 else { throw SystemError(code: error, operation: "starting this program's executable anew") }
        return pid
    }
}
