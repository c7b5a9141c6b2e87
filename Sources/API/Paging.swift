internal import Encoding
internal import Endpoints
internal import HTTP
internal import Registry

/// The query of a page of a list: `?limit=` and `?cursor=`.
struct PageInput<Cursor: PageCursor>: Input {
  let limit: Int?
  let cursor: Cursor?
  private let path: String
  private let query: Substring?

  static var description: InputDescription {
    InputDescription(parameters: [Cursor.page.limit.description, Cursor.page.cursor.description])
  }

  init(of call: Call) throws(Problem) {
    path = String(call.request.path)
    query = call.request.query
    limit = try call.value(of: Cursor.page.limit)
    cursor = try call.value(of: Cursor.page.cursor)
  }

  /// The path and query of the page that begins at `next`: those of this page, with another cursor. Names and values were
  /// read, so they can be decoded.
  func link(to next: Cursor) -> String {
    let kept = QueryParameters(query).compactMap { pair -> String? in
      guard let name = PercentEncoding.decode(Substring(pair.name)), name != "cursor",
        let value = PercentEncoding.decode(Substring(pair.value))
      else { return nil }
      return "\(name)=\(PercentEncoding.encode(value))&"
    }
    return "\(path)?\(kept.joined())cursor=\(Base64URL.encode(next.bytes))"
  }
}

/// The input of a page of a list that belongs to what the path names.
struct PathAndPage<Path: PathInput, Cursor: PageCursor>: Input {
  let path: Path
  let page: PageInput<Cursor>

  static var description: InputDescription {
    InputDescription(parameters: Path.description.parameters + PageInput<Cursor>.description.parameters)
  }

  init(of call: Call) throws(Problem) {
    path = try Path(of: call)
    page = try PageInput(of: call)
  }
}

/// The query parameters of a list. Each type of cursor stores them, because a generic type cannot.
struct PageParameters<Cursor: PageCursor>: Sendable {
  let limit: QueryParameter<Int>
  let cursor: QueryParameter<Cursor>

  /// Elements of the largest page.
  private static var maximumLimit: Int { 1000 }

  /// - Parameter withoutLimit: the default of `limit`, in words that end a sentence.
  init(withoutLimit: String) {
    limit = QueryParameter("limit", in: 1...Self.maximumLimit, "Maximum number per page; \(withoutLimit).")
    cursor = QueryParameter(
      "cursor", ["type": "string", "minLength": 1],
      "The start of the page, from the `Link` of the previous page.",
      "must be taken from the Link of the page before"
    ) { text in Base64URL.decode(text[...]).flatMap(Cursor.init(bytes:)) }
  }
}

/// A position in a list, which clients receive as opaque bytes.
protocol PageCursor: Sendable {
  static var page: PageParameters<Self> { get }
  var bytes: [UInt8] { get }
  init?(bytes: [UInt8])
}

extension DeviceCursor: PageCursor {
  static let page = PageParameters<DeviceCursor>(withoutLimit: "default \(DeviceService.defaultPage)")

  var bytes: [UInt8] { createdAt.bytes + id.high.bigEndianBytes + id.low.bigEndianBytes }

  init?(bytes: [UInt8]) {
    guard bytes.count == 24, let createdAt = Timestamp(bytes: bytes[..<8]) else { return nil }
    let id = DeviceID(high: UInt64(bigEndianBytes: bytes[8..<16]), low: UInt64(bigEndianBytes: bytes[16...]))
    self.init(createdAt: createdAt, id: id)
  }
}

/// The position of a delivery in the list of a signal's deliveries.
extension DeviceID: PageCursor {
  static let page = PageParameters<DeviceID>(withoutLimit: "default \(SignalService.maximumDeliveryPage)")

  var bytes: [UInt8] { high.bigEndianBytes + low.bigEndianBytes }

  init?(bytes: [UInt8]) {
    guard bytes.count == 16 else { return nil }
    self.init(high: UInt64(bigEndianBytes: bytes[..<8]), low: UInt64(bigEndianBytes: bytes[8...]))
  }
}

extension SignalCursor: PageCursor {
  static let page = PageParameters<SignalCursor>(
    withoutLimit: "default \(SignalService.defaultPage)")

  var bytes: [UInt8] { id.high.bigEndianBytes + id.low.bigEndianBytes }

  init?(bytes: [UInt8]) {
    guard bytes.count == 16 else { return nil }
    self.init(
      id: SignalID(high: UInt64(bigEndianBytes: bytes[..<8]), low: UInt64(bigEndianBytes: bytes[8...])))
  }
}

extension EnrolmentCursor: PageCursor {
  static let page = PageParameters<EnrolmentCursor>(
    withoutLimit: "default \(EnrolmentService.defaultPage)")

  var bytes: [UInt8] { id.high.bigEndianBytes + id.low.bigEndianBytes }

  init?(bytes: [UInt8]) {
    guard bytes.count == 16 else { return nil }
    self.init(
      id: EnrolmentID(high: UInt64(bigEndianBytes: bytes[..<8]), low: UInt64(bigEndianBytes: bytes[8...])))
  }
}

extension ClientCursor: PageCursor {
  static let page = PageParameters<ClientCursor>(
    withoutLimit: "default \(ClientService.maximumPage)")

  var bytes: [UInt8] { createdAt.bytes + Array(id.text.utf8) }

  init?(bytes: [UInt8]) {
    guard bytes.count > 8, let createdAt = Timestamp(bytes: bytes[..<8]),
      let id = String(validating: bytes[8...], as: UTF8.self).flatMap({ ClientID($0) })
    else { return nil }
    self.init(createdAt: createdAt, id: id)
  }
}

extension Timestamp {
  /// 9999-12-31T23:59:59.999Z. A database might not store a later time.
  private static let last = 253_402_300_799_999

  fileprivate var bytes: [UInt8] { UInt64(bitPattern: millisecondsSince1970).bigEndianBytes }

  fileprivate init?(bytes: ArraySlice<UInt8>) {
    let milliseconds = UInt64(bigEndianBytes: bytes)
    guard milliseconds <= Self.last else { return nil }
    self.init(millisecondsSince1970: Int64(milliseconds))
  }
}

extension UInt64 {
  var bigEndianBytes: [UInt8] {
    stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: self >> UInt64($0)) }
  }

  init(bigEndianBytes bytes: ArraySlice<UInt8>) {
    self = bytes.reduce(0) { $0 << 8 | UInt64($1) }
  }
}
