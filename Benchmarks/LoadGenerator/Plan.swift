/// The requests to send, their actors, and the duration.
struct Plan: Decodable {
  /// On 127.0.0.1.
  let port: UInt16
  let connections: Int
  /// Whether the server speaks TLS. Its certificate is not verified.
  let tls: Bool?
  /// Seconds that are counted, after those that are not.
  let seconds: Double
  let warmUpSeconds: Double
  /// Requests per second, whether or not the server keeps up. Nil: each connection sends its next request after the
  /// answer to the last one.
  let rate: Double?
  /// Processes whose time and memory are reported: those of the server.
  let processes: [Int32]
  /// Requests of one actor, sent one after another and counted as one.
  let steps: [Step]
  /// The actors, which take turns.
  let actors: [Actor]
  let order: Order
  /// The key of `{proof}`: HMAC-SHA-256(key, base) XOR mask, both in hexadecimal.
  let key: String?
  let mask: String?

  /// Texts in which `{id}`, `{token}` and the other cases of `Slot` are placeholders.
  struct Step: Decodable {
    /// The request line and the header, with the empty line.
    let head: String
    let body: String
    /// The signature base, if the request is signed.
    let base: String
    /// The status of a successful answer.
    let status: Int
    /// The text in the answer that precedes the 36 characters of `{found}`.
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

/// The results.
struct Report: Encodable {
  var requests = 0
  /// Answers of another status, and connections that broke.
  var errors = 0
  var firstError: String?
  var seconds = 0.0
  /// The latency in seconds that this fraction of the requests did not exceed.
  var p50 = 0.0
  var p99 = 0.0
  var p999 = 0.0
  /// Processor time of the server's processes, and of this one.
  var serverSeconds = 0.0
  var generatorSeconds = 0.0
  /// Memory of the server's processes: the peak of this run, and the value at its end while all connections are open.
  var peakBytes = 0
  var endBytes = 0
}
