// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing
import Testing

/// A manager between programs that are no relatives of each other.
@Suite(.timeLimit(.minutes(30)), .leavesNothing)
struct ManagerProgramTests {
    @Test(arguments: ["path", "@multiprocessing-test-\(getpid())", "127.0.0.1:0"])
    func `programs that are no relatives use one manager`(place: String) throws {
        let place = place == "path" ? socketPath() : place
        let input = TestPipe()
        let server = try Fixture("manager", place, "secret", input: input.readEnd)
        close(input.readEnd)
        let address = try #require(server.line())
        let clients = try ["a", "b", "c"].map { try Fixture("manager-client", address, "secret", $0) }
        for client in clients {
            let (status, output, errors) = client.finish()
            #expect(status == 0 && output == ["done 0"], "\(output) \(errors)")
        }
        close(input.writeEnd)
        let (status, output, errors) = server.finish()
        #expect(status == 0, "\(errors)")
        #expect(
            output == [
                #"visitors ["a", "b", "c", "child of a", "child of b", "child of c"]"#, "total \(3 * 55 + 3 * 100)",
            ]
        )
    }

    @Test(arguments: ["@multiprocessing-other-\(getpid())", "127.0.0.1:0"])
    func `another key, another program, and nobody are errors of their own`(place: String) async throws {
        let input = TestPipe()
        let server = try Fixture("manager", place, "secret", input: input.readEnd)
        close(input.readEnd)
        let text = try #require(server.line())
        let address = try #require(Address(text))

        let stranger = try Fixture("manager-client", text, "other", "x").finish()
        #expect(stranger.output.first?.hasPrefix("ConnectionError: ") == true, "\(stranger.output)")
        #expect(stranger.output.first?.contains("key") == true, "\(stranger.output)")

        // This test program has the key, but is another one.
        do {
            _ = try await Manager.connect(to: address, authenticationKey: "secret")
            Issue.record("connected")
        } catch let error as ManagerError {
            #expect(error.code == .otherBuild)
            #expect(error.description.contains("build"), "\(error)")
        }
        // It has done no harm.
        let client = try Fixture("manager-client", text, "secret", "a").finish()
        #expect(client.output == ["done 0"], "\(client.output) \(client.errors)")
        close(input.writeEnd)
        #expect(server.finish().status == 0)
        await #expect(throws: SystemError.self) {
            try await Manager.connect(to: address, authenticationKey: "secret")
        }
    }
}
