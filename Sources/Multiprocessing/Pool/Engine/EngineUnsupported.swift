// SPDX-License-Identifier: Apache-2.0

/// A pool was asked for something that the place where its tasks run cannot do. Thrown before anything is begun.
package struct EngineUnsupported: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// What was asked for.
    package let feature: String
    /// Where the tasks run, such as "threads".
    package let engine: String

    /// What cannot be had where.
    package var description: String { "\(feature): not possible in a pool whose tasks run in \(engine)" }
}
