// SPDX-License-Identifier: Apache-2.0

import Glibc
import Multiprocessing

/// What a manager keeps that programs share which are no relatives: a type that is not `Codable`.
final class Ledger {
    private var amounts: [String: Int] = [:]

    /// Adds to an amount and returns it.
    func add(_ amount: Int, to name: String) -> Int {
        amounts[name, default: 0] += amount
        return amounts[name, default: 0]
    }
}

/// Serves a manager at an address and tells where, until its standard input ends.
func serveManager(at text: String, key: String) throws {
    guard let address = Address(text) else { fatalError("no address: \(text)") }
    let manager = try Manager(address: address, authenticationKey: AuthenticationKey(key))
    let ledger = try manager.host { Ledger() }
    try manager.names.set(ledger, forName: "ledger")
    try manager.names.set(try manager.list(of: String.self), forName: "visitors")
    tell("\(manager.address ?? address)")
    var byte: UInt8 = 0
    while read(0, &byte, 1) > 0 {}
    let visitors = try manager.names.get("visitors", as: ManagedList<String>.self)
    tell("visitors \(try visitors?.value().sorted() ?? [])")
    tell("total \(try ledger.withValue { $0.add(0, to: "all") })")
    try manager.shutdown()
}

/// Uses the manager at an address, which some other program serves.
func useManager(at text: String, key: String, name: String) throws {
    guard let address = Address(text) else { fatalError("no address: \(text)") }
    do {
        let manager = try Manager.connect(to: address, authenticationKey: AuthenticationKey(key))
        guard let ledger = try manager.names.get("ledger", as: Managed<Ledger>.self),
            let visitors = try manager.names.get("visitors", as: ManagedList<String>.self)
        else { return tell("nothing there") }
        try visitors.append(name)
        for amount in 1...10 { _ = try ledger.withValue(with: amount) { $0.add($1, to: "all") } }
        // On to a child of this program, which is no relative of the manager either.
        let child = ChildProcess {
            try visitors.append("child of \(name)")
            _ = try ledger.withValue { $0.add(100, to: "all") }
        }
        try child.start()
        try child.join()
        tell("done \(child.exitCode ?? -1)")
    } catch {
        tell("\(type(of: error)): \(error)")
    }
}
