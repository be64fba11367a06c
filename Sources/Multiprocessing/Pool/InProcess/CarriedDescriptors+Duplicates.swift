// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import MultiprocessingPrimitives
internal import MultiprocessingWireCoding

extension CarriedDescriptors {
    /// Duplicates of descriptors, for one who decodes them or hands them on: of all of them, or none.
    ///
    /// - Throws: `SystemError`: EMFILE when this process may have no more open files.
    static func duplicates(of numbers: [Int32], _ operation: String) throws(SystemError) -> [Int32] {
        var duplicates: [Int32] = []
        for number in numbers {
            let duplicate = fcntl(number, F_DUPFD_CLOEXEC, 3)
            guard duplicate >= 0 else {
                let error = SystemError(operation)
                for number in duplicates { close(number) }
                throw error
            }
            duplicates.append(duplicate)
        }
        return duplicates
    }
}
