private import CZlib

/// gzip (RFC 1952), with zlib.
enum Gzip {
  /// The content in gzip's format, as small as zlib makes it.
  static func compress(_ content: [UInt8]) -> [UInt8] {
    var stream = z_stream()
    guard zlib_begin_gzip(&stream) == Z_OK else { return content }
    defer { deflateEnd(&stream) }
    let bound = Int(deflateBound(&stream, uLong(content.count)))
    var content = content
    return content.withUnsafeMutableBufferPointer { input in
      [UInt8](unsafeUninitializedCapacity: bound) { output, count in
        stream.next_in = input.baseAddress
        stream.avail_in = uInt(input.count)
        stream.next_out = output.baseAddress
        stream.avail_out = uInt(output.count)
        // The output has room for all of it, so one call ends the stream.
        let status = deflate(&stream, Z_FINISH)
        precondition(status == Z_STREAM_END)
        count = Int(stream.total_out)
      }
    }
  }
}
