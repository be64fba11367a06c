// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

/// A program that uses everything, in a system of its own (namespaces(7)), where all that has a name is the program's: shared memory, semaphores, message queues, files and sockets.
@Suite(.timeLimit(.minutes(30)))
struct NothingLeftTests {
    /// Whether this user may have such a system here; some containers do not allow it.
    private static let isPossible =
        system("unshare -rminpf --mount-proc mount -t tmpfs none /var/tmp 2>/dev/null && command -v find >/dev/null")
        == 0

    /// Run by the first process there, which the signal to all others spares. The argument is the program.
    private static let script = """
        mount -t tmpfs none /dev/shm && mount -t tmpfs none /var/tmp || exit 1
        export TMPDIR=/var/tmp
        case "$0" in /tmp/*) ;; *) mount -t tmpfs none /tmp || exit 1 ;; esac
        own() {
            find /dev/shm /var/tmp -mindepth 1
            case "$0" in /tmp/*) ;; *) find /tmp -mindepth 1 ;; esac
            for table in net/unix sysvipc/shm sysvipc/sem sysvipc/msg; do tail -n +2 /proc/$table; done
        }
        "$0" everything | {
            read said
            echo "$said"
            touch /dev/shm/sem.x /var/tmp/x
            echo "before $(own | grep -c .)"
            rm /dev/shm/sem.x /var/tmp/x
            kill -KILL -1
            # The last of them is gone a moment later.
            tries=0
            while left=$(own); [ -n "$left" ] && [ $tries -lt 3000 ]; do
                sleep 0.01
                tries=$((tries + 1))
            done
            echo "after $left"
        }
        """

    @Test(.enabled(if: isPossible, "needs a system of its own"), arguments: 1...3)
    func `no name in the system is left when all processes were killed`(run: Int) throws {
        let result = try Fixture(
            "-rminpf",
            "--mount-proc",
            "/bin/sh",
            "-c",
            Self.script,
            Fixture.path,
            path: "/usr/bin/unshare"
        ).finish()
        let count = result.output.dropFirst().first.flatMap { $0.split(separator: " ").last }.flatMap { Int($0) } ?? 0
        // The two files, to see that it is looked at the right places; and the sockets of a dozen processes.
        #expect(count > 14, "\(result)")
        #expect(result.output.first == "ready 3 2" && result.output.dropFirst(2) == ["after "], "\(result)")
    }
}
