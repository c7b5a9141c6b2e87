import Crypto
import Testing

@Suite("Sealing keys")
struct SealingKeyTests {
  private let key = key(filledWith: 1)
  private let content = [UInt8](0..<32)
  private let place = Array("devices\0stored_key\0one\0".utf8)

  @Test
  func `A box opens with its key and its associated data`() {
    let box = seal(content, with: key)
    #expect(box.count == 32 + SealingKey.overhead && SealingKey.overhead == 49)
    #expect(open(box, with: key) == content)
    #expect(open(seal([], with: key), with: key) == [])
  }

  @Test
  func `Boxes of the same content differ, and do not contain it`() {
    let (one, other) = (seal(content, with: key), seal(content, with: key))
    #expect(one[9...] != other[9...])
    #expect(!contains(one, content.prefix(8)))
  }

  @Test
  func `A box begins with its format and the id of its key`() {
    let box = seal(content, with: key)
    #expect(box[0] == 1)
    #expect(box[1..<9] == key.id[...])
    #expect(key.id == Self.key(filledWith: 1).id)
    #expect(key.id != Self.key(filledWith: 2).id)
    #expect(!contains(key.id, [1, 1, 1]))
  }

  @Test(arguments: 0..<81)
  func `A box with a flipped bit does not open`(index: Int) {
    var box = seal(content, with: key)
    box[index] ^= 1 << UInt8(index % 8)
    #expect(open(box, with: key) == nil)
  }

  @Test
  func `A box opens with no other associated data`() {
    let box = seal(content, with: key)
    #expect(open(box, with: key, of: Array("devices\0server_key\0one\0".utf8)) == nil)
    #expect(open(box, with: key, of: Array("devices\0stored_key\0two\0".utf8)) == nil)
    #expect(open(box, with: key, of: []) == nil)
  }

  @Test
  func `A box opens with no other key, also under the other's id`() {
    let other = Self.key(filledWith: 2)
    var box = seal(content, with: key)
    #expect(open(box, with: other) == nil)
    box.replaceSubrange(1..<9, with: other.id)
    #expect(open(box, with: other) == nil)
  }

  @Test
  func `A truncated or longer box does not open`() {
    let box = seal(content, with: key)
    for length in 0..<box.count { #expect(open(Array(box.prefix(length)), with: key) == nil) }
    #expect(open(box + [0], with: key) == nil)
  }

  @Test
  func `A key prints nothing of itself`() {
    #expect("\(key)" == "<redacted>" && String(reflecting: key) == "<redacted>")
  }

  private static func key(filledWith byte: UInt8) -> SealingKey { SealingKey { $0.update(repeating: byte) } }

  private func seal(_ content: [UInt8], with key: SealingKey) -> [UInt8] {
    content.withUnsafeBufferPointer { key.seal($0, associatedData: place) }
  }

  /// Nil if the box does not open.
  private func open(_ box: [UInt8], with key: SealingKey, of place: [UInt8]? = nil) -> [UInt8]? {
    guard let length = SealingKey.contentLength(ofBox: box) else { return nil }
    var content = [UInt8](repeating: 0xFF, count: length)
    let isOpen = content.withUnsafeMutableBufferPointer {
      key.open(box, associatedData: place ?? self.place, into: $0)
    }
    return isOpen ? content : nil
  }

  private func contains(_ bytes: [UInt8], _ part: some Collection<UInt8>) -> Bool {
    bytes.indices.contains { bytes[$0...].starts(with: part) }
  }
}
