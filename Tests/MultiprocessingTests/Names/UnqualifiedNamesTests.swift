// SPDX-License-Identifier: Apache-2.0

import Foundation
import Multiprocessing
import Testing

// Swift Testing has another `ExitStatus`; this makes the bare name mean the package's.
import enum Multiprocessing.ExitStatus

@Suite(.leavesNothing) struct UnqualifiedNamesTests {
    @Test func `names need no module in front of them, whatever else is imported`() throws {
        func give(_ semaphore: Semaphore) throws { try semaphore.release() }
        let semaphores: [Semaphore] = [try Semaphore(), try Semaphore(value: 3)]
        for semaphore in semaphores { try give(semaphore) }
        #expect(semaphores.map(\.value) == [2, 4])
        var names = Names()
        names.semaphore = semaphores[0]
        names.countingSemaphore = semaphores[0]
        names.qualifiedSemaphore = names.semaphore
        #expect(names.semaphore === names.qualifiedSemaphore && cpuCount >= availableCPUCount)
        #expect(Semaphore.self == CountingSemaphore.self)
    }

    @Test func `a name that Swift Testing has too is settled by one import`() {
        let status: ExitStatus = .exited(3)
        #expect(status == .exited(3) && type(of: status) == Names.exitStatus)
    }
}
