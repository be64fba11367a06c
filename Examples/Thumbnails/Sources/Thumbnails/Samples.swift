// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Pictures to try the program with.
enum Samples {
    /// Writes pictures into a new folder, one of them damaged, and returns their paths.
    static func make(_ count: Int) throws -> [String] {
        let folder = FileManager.default.temporaryDirectory.appending(path: "thumbnails-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var paths: [String] = []
        for number in 1...count {
            let path = folder.appending(path: "picture-\(number).jpg").path()
            try picture(number).write(jpeg: path)
            paths.append(path)
        }
        let damaged = folder.appending(path: "damaged.jpg")
        try Data("this is no picture".utf8).write(to: damaged)
        paths.insert(damaged.path(), at: count / 2)
        return paths
    }

    /// Waves of colour.
    private static func picture(_ number: Int) -> Image {
        let (width, height) = (1600, 1200)
        var image = Image(width: width, height: height, pixels: [])
        image.pixels.reserveCapacity(width * height * 3)
        for y in 0..<height {
            for x in 0..<width {
                image.pixels.append(UInt8(truncatingIfNeeded: x * number / 7))
                image.pixels.append(UInt8(truncatingIfNeeded: y * number / 5))
                image.pixels.append(UInt8(truncatingIfNeeded: (x + y) / 3))
            }
        }
        return image
    }
}
