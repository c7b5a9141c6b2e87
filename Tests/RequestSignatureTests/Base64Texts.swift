@testable import RequestSignature

extension Base64 {
  static func encode(_ bytes: [UInt8]) -> String {
    TextWriter.string(capacity: encodedLength(bytes.count)) { text in
      bytes.withUnsafeBufferPointer { text.append(base64: $0) }
    }
  }

  static func decode(_ text: String) -> [UInt8]? {
    var text = text
    return text.withUTF8 { decode($0) }
  }
}
