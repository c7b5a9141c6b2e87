/// Why the HTTP room refuses a request, before it is routed.
public enum Refusal: String, Error, Hashable, Sendable {
  case missingHost = "the Host field is missing"
  case repeatedHost = "the Host field is given twice"
  case invalidHost = "the value of the Host field is not an authority"
  case otherAuthority = "the request target names another authority than the Host field"
  case invalidContentLength = "the value of Content-Length is not a number"
  case conflictingLengths = "Content-Length must be given once, and not together with Transfer-Encoding"
  case invalidTransferEncoding = "the only transfer coding that is supported is chunked"
  case invalidChunk = "the chunked transfer coding is malformed"
  case invalidRequestLine = "the request line is not `METHOD TARGET HTTP/1.1`"
  case invalidMethod = "the method is not a token"
  case invalidTarget = "the request target must be a path, in visible ASCII characters"
  case invalidField = "a header field is malformed, or has characters that are not allowed in it"
  case unknownMethod = "no path takes this method"
  case versionNotSupported = "the protocol version must be HTTP/1.0 or HTTP/1.1"
  case headerTooLarge = "the header section is too large"
  case timedOut = "the request did not arrive in time"
  case unavailable = "the service is shutting down"

  public var status: Int {
    switch self {
    case .unknownMethod: 405
    case .timedOut: 408
    case .headerTooLarge: 431
    case .unavailable: 503
    case .versionNotSupported: 505
    case .missingHost, .repeatedHost, .invalidHost, .otherAuthority, .invalidContentLength, .conflictingLengths,
      .invalidTransferEncoding, .invalidChunk, .invalidRequestLine, .invalidMethod, .invalidTarget,
      .invalidField:
      400
    }
  }
}
