@testable import API
@testable import Endpoints
import Foundation
import HTTP
import Registry
import Testing

@Suite struct JSONWriting {
  private func text(_ value: some JSONWritable) -> String {
    var json = JSONWriter(buffer: ByteBuffer(capacity: 16))
    value.write(to: &json)
    return json.buffer.withBytes { String(decoding: $0, as: UTF8.self) }
  }

  @Test func `Every character is read back as it was written`() throws {
    for value in (UInt32(0)...0x2FF).compactMap(Unicode.Scalar.init) + ["\u{2028}", "\u{FEFF}", "\u{1F4C8}"] {
      let string = "a\(value)b"
      #expect(try JSONDecoder().decode([String].self, from: Data(text([string]).utf8)) == [string])
    }
  }

  @Test func `Control characters, quotes and backslashes are escaped, and nothing else`() {
    #expect(text("\u{1}\u{1f}\n\"\\/é") == #""\u0001\u001f\n\"\\/é""#)
  }

  @Test func `Values have their usual forms`() {
    #expect(text([Int64.min, 0, .max]) == "[-9223372036854775808,0,9223372036854775807]")
    #expect(text([true, false, nil]) == "[true,false,null]")
    #expect(text([String]()) == "[]")
    #expect(text(Timestamp(millisecondsSince1970: 0)) == #""1970-01-01T00:00:00.000Z""#)
    let id = "01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a"
    #expect(text(DeviceID(id)!) == "\"\(id)\"")
    #expect(
      text([Problem.FieldError(field: "a", message: "b"), .init(field: "c", message: "d")])
        == #"[{"field":"a","message":"b"},{"field":"c","message":"d"}]"#)
  }
}
