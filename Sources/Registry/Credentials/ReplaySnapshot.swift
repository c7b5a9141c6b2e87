/// The nonces of a `ReplayMemory`, for the process that serves the database next: after an orderly stop it then refuses
/// no request because it was signed before the start.
public struct ReplaySnapshot: Sendable, Equatable {
  /// The key of the hashes.
  public var key: [UInt8]
  /// The name of the term in which the nonces were stored (`ServingLock`). Only the term that follows it may rely on
  /// them.
  public var term = ""
  /// Since when all nonces are here, in milliseconds since 1970; `Int64.min` for always.
  public var heldSince = Int64.max
  /// How long nonces were kept.
  let skewSeconds: Int
  /// Nonces of spans before this one were dropped.
  var firstSpan = Int64.min
  private(set) var tables: [Table] = []

  struct Table: Equatable {
    let span: Int64
    var hashes: [UInt64]
  }

  init(key: [UInt8], skewSeconds: Int) { (self.key, self.skewSeconds) = (key, skewSeconds) }

  mutating func add(_ hashes: some Sequence<UInt64>, of span: Int64) {
    if let index = tables.firstIndex(where: { $0.span == span }) {
      tables[index].hashes += hashes
    } else {
      tables.append(Table(span: span, hashes: Array(hashes)))
    }
  }

  public var count: Int { tables.reduce(0) { $0 + $1.hashes.count } }
}

// MARK: In bytes

extension ReplaySnapshot {
  /// Also the version of the form.
  private static let signature = Array("DRnonce1".utf8)
  private static let maximumTexts = 1024
  private static let maximumTables = 64

  /// The snapshot in the form that `init(bytes:)` reads. Numbers are little-endian.
  public var bytes: [UInt8] {
    var bytes = Self.signature
    bytes.reserveCapacity(256 + key.count + term.utf8.count + count * 8)
    for text in [key, Array(term.utf8)] {
      bytes.append(integer: UInt64(text.count))
      bytes += text
    }
    for number in [heldSince, Int64(skewSeconds), firstSpan, Int64(tables.count)] {
      bytes.append(integer: number)
    }
    for table in tables {
      bytes.append(integer: table.span)
      bytes.append(integer: UInt64(table.hashes.count))
      for hash in table.hashes { bytes.append(integer: hash) }
    }
    return bytes
  }

  /// Nil for anything but a whole snapshot.
  public init?(bytes: [UInt8]) {
    var rest = bytes[...]
    guard rest.starts(with: Self.signature) else { return nil }
    rest = rest.dropFirst(Self.signature.count)
    guard let key = rest.takeText(atMost: Self.maximumTexts),
      let term = rest.takeText(atMost: Self.maximumTexts),
      let heldSince: Int64 = rest.takeInteger(), let skewSeconds: Int64 = rest.takeInteger(),
      let firstSpan: Int64 = rest.takeInteger(), let tableCount: Int64 = rest.takeInteger(),
      0...Int64(Self.maximumTables) ~= tableCount
    else { return nil }
    self.init(key: Array(key), skewSeconds: Int(skewSeconds))
    self.term = String(decoding: term, as: UTF8.self)
    (self.heldSince, self.firstSpan) = (heldSince, firstSpan)
    for _ in 0..<tableCount {
      guard let span: Int64 = rest.takeInteger(), let count: UInt64 = rest.takeInteger(),
        count <= UInt64(rest.count / 8)
      else { return nil }
      tables.append(Table(span: span, hashes: (0..<count).compactMap { _ in rest.takeInteger() }))
    }
    guard rest.isEmpty else { return nil }
  }
}

extension [UInt8] {
  fileprivate mutating func append(integer: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: integer.littleEndian) { append(contentsOf: $0) }
  }
}

extension ArraySlice<UInt8> {
  fileprivate mutating func takeInteger<Value: FixedWidthInteger>() -> Value? {
    let size = Value.bitWidth / 8
    guard count >= size else { return nil }
    defer { self = dropFirst(size) }
    return withUnsafeBytes { Value(littleEndian: $0.loadUnaligned(as: Value.self)) }
  }

  fileprivate mutating func takeText(atMost maximum: Int) -> ArraySlice<UInt8>? {
    guard let length: UInt64 = takeInteger(), length <= UInt64(Swift.min(maximum, count)) else { return nil }
    defer { self = dropFirst(Int(length)) }
    return prefix(Int(length))
  }
}
