/// What to send, to whom, and for how long.
struct Plan: Decodable {
  /// On 127.0.0.1.
  let port: UInt16
  let connections: Int
  /// Whether the server speaks TLS. Its certificate is not verified.
  let tls: Bool?
  /// Seconds that are counted, behind those that are not.
  let seconds: Double
  let warmUpSeconds: Double
  /// Requests each second, whether or not the server keeps up. Nil: each connection sends its next request when it
  /// has the answer to the last.
  let rate: Double?
  /// Processes whose time and memory are reported: the server's.
  let processes: [Int32]
  /// Requests of one actor, sent one behind the other and counted as one.
  let steps: [Step]
  /// Each time somebody else sends.
  let actors: [Actor]
  let order: Order
  /// With what `{proof}` is computed: HMAC-SHA-256(key, base) XOR mask, both in hexadecimal.
  let key: String?
  let mask: String?

  /// Texts in which `{id}`, `{token}` and the other cases of `Slot` are placeholders.
  struct Step: Decodable {
    /// The request line and the header, with the empty line.
    let head: String
    let body: String
    /// What is signed, where it is.
    let base: String
    /// The status of an answer that is no error.
    let status: Int
    /// Text in the answer behind which the 36 characters of `{found}` are.
    let finds: String?
  }

  struct Actor: Decodable {
    let id: String
    let token: String
  }

  enum Order: String, Decodable {
    case random, sequence
    /// In sequence; the run ends after the last one.
    case once
  }
}

/// What came of it.
struct Report: Encodable {
  var requests = 0
  /// Answers of another status, and connections that broke.
  var errors = 0
  var firstError: String?
  var seconds = 0.0
  /// Seconds of latency that such a part of the requests did not exceed.
  var p50 = 0.0
  var p99 = 0.0
  var p999 = 0.0
  /// Processor time of the server's processes, and of this one.
  var serverSeconds = 0.0
  var generatorSeconds = 0.0
  /// Memory of the server's processes, at its peak in this run, and at the end while all connections are open.
  var peakBytes = 0
  var endBytes = 0
}
