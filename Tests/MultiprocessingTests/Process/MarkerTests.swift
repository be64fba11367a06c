// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// The variable that marks a process as started by this package: it counts only together with a socket from the program's own parent.
@Suite(.timeLimit(.minutes(30)), .serialized, .leavesNothing)
struct MarkerTests {
    /// Runs the fixture by a shell, which has `/bin/false` as its descriptor 7 and is given the marker.
    private func run(marker: String, _ redirection: String = "7</bin/false") throws -> [String] {
        let command = "MULTIPROCESSING_SOCKET='\(marker)' exec '\(Fixture.path)' unmarked \(redirection)"
        return try Fixture("-c", command, path: "/bin/sh").finish().output
    }

    @Test(arguments: ["", "x", "7x", "-1", "0", "2", "99", "7", "99999999999999999999"])
    func `a marker without a socket is ignored and does not go on to others`(_ marker: String) throws {
        #expect(try run(marker: marker) == ["main ran without a marker"])
    }

    @Test func `a socket of another kind is ignored`() throws {
        var ends: [Int32] = [-1, -1]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
        defer { for end in ends { close(end) } }
        let command = "MULTIPROCESSING_SOCKET=7 exec '\(Fixture.path)' unmarked 7<&0"
        let program = try Fixture("-c", command, path: "/bin/sh", input: ends[0])
        #expect(program.finish().output == ["main ran without a marker"])
    }

    @Test(.enabled(if: getuid() == 0, "needs the rights to have other rights"))
    func `a program that runs with more rights than its caller ignores the marker`() throws {
        let result = try Fixture("privileged").finish()
        #expect(result.output == ["main ran without a marker"], "\(result)")
    }

    @Test func `bootstrap takes over a process that is marked, and returns in any other`() throws {
        #expect(try Fixture("bootstrap").finish().output == ["main goes on"])
        var ends: [Int32] = [-1, -1]
        #expect(socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
        let program = try Fixture("bootstrap", "marked", input: ends[1])
        close(ends[1])
        #expect(program.line() == "marked")
        // It serves, and a parent that is gone has nothing to be done.
        close(ends[0])
        let result = program.finish()
        #expect(result.output.isEmpty && result.status == 0, "\(result)")
    }
}
