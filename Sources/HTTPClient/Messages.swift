internal import CCurl
internal import Glibc

extension WebClient {
  /// A request, and the bounds of its answer.
  public struct Request: Sendable {
    public enum Method: Sendable {
      case get
      case post(body: [UInt8])
    }

    /// Begins with `https://`.
    public var url: String
    public var method = Method.get
    /// Header fields in addition to libcurl's. A field here replaces libcurl's.
    public var fields: [(name: String, value: String)] = []
    /// PEM certificates to trust instead of the system's.
    public var certificateFile: String?
    /// Allows a URL that begins with `http://`.
    public var allowsPlainHTTP = false
    /// Maximum bytes of the answer's content.
    public var maximumBodyLength = 1024 * 1024
    /// Whether the first `maximumBodyLength` bytes of a longer content are enough: the rest is not read, and the
    /// connection is closed.
    public var needsOnlyExcerpt = false
    /// Whether later requests to the same host may use the connection. It was made to an allowed address.
    public var keepsConnection = false
    /// From the start until TCP and TLS are connected, including the name look-up.
    public var connectTimeoutMilliseconds = 3000
    /// From the start to the end of the answer.
    public var totalTimeoutMilliseconds = 5000

    /// A `GET` of the URL.
    public init(url: String) { self.url = url }
  }

  /// A complete answer. Redirects (3xx) are returned, not followed.
  public struct Answer: Sendable {
    public let status: Int
    /// The header fields, line by line.
    public let fields: [(name: String, value: String)]
    public let body: [UInt8]

    /// The values of the field lines with that name, which is not case-sensitive.
    public func values(of name: String) -> [String] {
      fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value)
    }

    /// `Expires` minus `Date`, or minus the current time without `Date`; nil without `Expires`. An `Expires` that is
    /// not a date, typically `0`, is in the past (RFC 9111, section 5.3).
    public var secondsUntilExpiry: Int? {
      guard let expires = values(of: "Expires").first.map({ curl_getdate($0, nil) }) else { return nil }
      let date = values(of: "Date").first.map { curl_getdate($0, nil) } ?? -1
      return expires - (date == -1 ? time(nil) : date)
    }
  }
}

/// Why a request has no answer.
public enum FetchError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The URL does not begin with `https://`.
  case notHTTPS
  /// A header field contains a control character, or its name is empty or contains a colon.
  case malformedField
  /// The client's maximum of transfers is in progress.
  case tooManyTransfers
  /// The content has more than `maximumBodyLength` bytes, or the header section more than
  /// `WebClient.maximumHeaderLength`.
  case tooLarge
  /// The client may not connect to the host's addresses.
  case addressRefused
  /// The task was cancelled.
  case cancelled
  /// The client was closed.
  case closed
  /// libcurl's reason, for the log.
  case failed(reason: String)

  public var description: String {
    switch self {
    case .notHTTPS: "the URL must begin with https://"
    case .malformedField: "a header field is malformed"
    case .tooManyTransfers: "too many requests are in progress"
    case .tooLarge: "the answer is too large"
    case .addressRefused: "the host's address is not allowed"
    case .cancelled: "the request was cancelled"
    case .closed: "the HTTP client was closed"
    case .failed(let reason): reason
    }
  }
}
