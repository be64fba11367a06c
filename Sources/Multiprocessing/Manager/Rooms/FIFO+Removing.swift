// SPDX-License-Identifier: Apache-2.0

extension FIFO {
    /// Removes those that fulfil `predicate`, in linear time. Returns how many.
    @discardableResult
    mutating func removeAll(where predicate: (Element) -> Bool) -> Int {
        guard contains(where: predicate) else { return 0 }
        let before = count
        let kept = all.filter { !predicate($0) }
        self = FIFO()
        for element in kept { append(element) }
        return before - count
    }
}
