internal import Encoding
internal import HTTP

/// The id of the trace of a request (W3C Trace Context, level 1, section 3.2.2.3), which relates the logs of several
/// services.
public struct TraceID: Hashable, Sendable, CustomStringConvertible {
  /// 32 lower-case hexadecimal characters, not all of them 0.
  public let description: String

  /// Reads the request's `traceparent`; nil unless there is exactly one and it is valid.
  init?(of request: Request) {
    let values = request.values(of: "traceparent")
    guard values.count == 1 else { return nil }
    self.init(traceparent: values[0])
  }

  /// Reads `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`: version, trace, parent and flags. Later
  /// versions may add text after another `-`; ff is not a version.
  init?(traceparent text: String) {
    var text = text
    let trace: String? = text.withUTF8 { bytes in
      guard bytes.count >= Self.length else { return nil }
      let version = bytes[0..<2]
      let (trace, parent, flags) = (bytes[3..<35], bytes[36..<52], bytes[53..<55])
      let areDashed = [2, 35, 52].allSatisfy { bytes[$0] == UInt8(ascii: "-") }
      let areDigits = [version, trace, parent, flags].allSatisfy { $0.allSatisfy(\.isLowerCaseHexDigit) }
      let isFirstVersion = version.elementsEqual("00".utf8)
      let endsWell =
        bytes.count == Self.length || !isFirstVersion && bytes[Self.length] == UInt8(ascii: "-")
      guard areDashed, areDigits, endsWell, !version.elementsEqual("ff".utf8), Self.isNotZero(trace),
        Self.isNotZero(parent)
      else { return nil }
      return String(decoding: trace, as: UTF8.self)
    }
    guard let trace else { return nil }
    description = trace
  }

  private static let length = 55

  private static func isNotZero(_ digits: Slice<UnsafeBufferPointer<UInt8>>) -> Bool {
    digits.contains { $0 != UInt8(ascii: "0") }
  }
}
