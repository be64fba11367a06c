// SPDX-License-Identifier: Apache-2.0

import CJPEG
import Glibc

/// A picture: three bytes for each pixel, row by row from the top.
struct Image {
    var width: Int
    var height: Int
    var pixels: [UInt8]
}

/// A file that cannot be opened.
struct Unreadable: Error, Codable, CustomStringConvertible {
    let path: String
    let reason: String
    var description: String { "\(path): \(reason)" }

    /// Why the last call of the C library failed.
    init(_ path: String) {
        self.path = path
        reason = String(cString: strerror(errno))
    }
}

extension Image {
    /// Reads a JPEG file at an eighth of its size or as little above as makes it `width` pixels wide.
    ///
    /// libjpeg's own answer to a file that it cannot read is `exit(1)`, after which there is no program any more; what can be set in its place has to leave with `longjmp`, which Swift does not have, and leaks what was allocated.
    /// In a process of a pool that is the loss of one file.
    init(jpeg path: String, width target: Int) throws {
        guard let file = fopen(path, "rb") else { throw Unreadable(path) }
        defer { fclose(file) }
        var errors = jpeg_error_mgr()
        var decoder = jpeg_decompress_struct()
        (width, height, pixels) = withUnsafeMutablePointer(to: &errors) { errors in
            decoder.err = jpeg_std_error(errors)
            jpeg_CreateDecompress(&decoder, JPEG_LIB_VERSION, MemoryLayout<jpeg_decompress_struct>.size)
            defer { jpeg_destroy_decompress(&decoder) }
            jpeg_stdio_src(&decoder, file)
            jpeg_read_header(&decoder, 1)
            decoder.out_color_space = JCS_RGB
            // The decoder leaves out what a smaller picture does not need, in halves.
            decoder.scale_num = 1
            decoder.scale_denom = 8
            while decoder.scale_denom > 1, Int(decoder.image_width) / Int(decoder.scale_denom) < target {
                decoder.scale_denom /= 2
            }
            jpeg_start_decompress(&decoder)
            let (width, height) = (Int(decoder.output_width), Int(decoder.output_height))
            var pixels = [UInt8](repeating: 0, count: width * height * 3)
            while decoder.output_scanline < decoder.output_height {
                pixels.withUnsafeMutableBufferPointer { pixels in
                    var row = pixels.baseAddress.map { $0 + Int(decoder.output_scanline) * width * 3 }
                    _ = jpeg_read_scanlines(&decoder, &row, 1)
                }
            }
            jpeg_finish_decompress(&decoder)
            return (width, height, pixels)
        }
    }

    /// Writes a JPEG file.
    func write(jpeg path: String, quality: Int32 = 85) throws {
        guard let file = fopen(path, "wb") else { throw Unreadable(path) }
        defer { fclose(file) }
        var errors = jpeg_error_mgr()
        var encoder = jpeg_compress_struct()
        withUnsafeMutablePointer(to: &errors) { errors in
            encoder.err = jpeg_std_error(errors)
            jpeg_CreateCompress(&encoder, JPEG_LIB_VERSION, MemoryLayout<jpeg_compress_struct>.size)
            defer { jpeg_destroy_compress(&encoder) }
            jpeg_stdio_dest(&encoder, file)
            encoder.image_width = JDIMENSION(width)
            encoder.image_height = JDIMENSION(height)
            encoder.input_components = 3
            encoder.in_color_space = JCS_RGB
            jpeg_set_defaults(&encoder)
            jpeg_set_quality(&encoder, quality, 1)
            jpeg_start_compress(&encoder, 1)
            var pixels = pixels
            while encoder.next_scanline < encoder.image_height {
                pixels.withUnsafeMutableBufferPointer { pixels in
                    var row = pixels.baseAddress.map { $0 + Int(encoder.next_scanline) * width * 3 }
                    _ = jpeg_write_scanlines(&encoder, &row, 1)
                }
            }
            jpeg_finish_compress(&encoder)
        }
    }
}
