// SPDX-License-Identifier: Apache-2.0
//
// Foundation's value types as runs of bytes. A program that imports this module carries them so; one that does not carries them by their own Codable, which visits every byte
// of a `Data`. Processes of one program always agree; two programs have to, and the guide on connections says so.

public import Foundation
public import MultiprocessingWireCoding

/// The bytes themselves.
extension Data: WireSpecialized, WireBulkValue {
    package func writeWireBytes(_ write: (UnsafeRawBufferPointer) -> Void) -> Bool {
        withUnsafeBytes { write($0) }
        return true
    }

    package init?(wireBytes: UnsafeRawBufferPointer) {
        self.init(wireBytes)
    }
}

/// The seconds since the reference date.
extension Date: WireSpecialized, WireBulkValue {
    package func writeWireBytes(_ write: (UnsafeRawBufferPointer) -> Void) -> Bool {
        withUnsafeBytes(of: timeIntervalSinceReferenceDate) { write($0) }
        return true
    }

    package init?(wireBytes: UnsafeRawBufferPointer) {
        guard wireBytes.count == MemoryLayout<Double>.size else { return nil }
        self.init(timeIntervalSinceReferenceDate: wireBytes.loadUnaligned(as: Double.self))
    }
}

/// The text of a URL that stands on its own; one that is relative to another is left to its own Codable.
extension URL: WireSpecialized, WireBulkValue {
    package func writeWireBytes(_ write: (UnsafeRawBufferPointer) -> Void) -> Bool {
        guard baseURL == nil else { return false }
        var text = absoluteString
        text.withUTF8 { write(UnsafeRawBufferPointer($0)) }
        return true
    }

    package init?(wireBytes: UnsafeRawBufferPointer) {
        guard let text = String(validating: wireBytes, as: UTF8.self) else { return nil }
        self.init(string: text)
    }
}

/// The sixteen bytes, which are thirty-six by its own Codable.
extension UUID: WireSpecialized, WireBulkValue {
    package func writeWireBytes(_ write: (UnsafeRawBufferPointer) -> Void) -> Bool {
        withUnsafeBytes(of: uuid) { write($0) }
        return true
    }

    package init?(wireBytes: UnsafeRawBufferPointer) {
        guard wireBytes.count == MemoryLayout<uuid_t>.size else { return nil }
        self.init(uuid: wireBytes.loadUnaligned(as: uuid_t.self))
    }
}
