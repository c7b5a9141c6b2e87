/// Why a request was refused before anything looked at what it asks for.
public enum Refusal: String, Hashable, Sendable {
  case missingHost = "the Host field is missing"
  case repeatedHost = "the Host field is there more than once"
  case invalidHost = "the Host field is not an authority"
  case repeatedContentLength = "the Content-Length field is there more than once"
  case invalidContentLength = "the Content-Length field is not a number"
  case contentLengthWithTransferEncoding = "Content-Length and Transfer-Encoding exclude each other"
  case invalidTransferEncoding = "the only transfer coding that is understood is chunked"
  case invalidMethod = "the method is not a token"
  case invalidTarget = "the request target must be a path, in visible ASCII characters"
  case invalidField = "a header field has characters that it must not have"
  case versionNotSupported = "the protocol version must be HTTP/1.0 or HTTP/1.1"
  case headerTooLarge = "the header is too large"
  case unavailable = "the service is shutting down"

  public var status: Int {
    switch self {
    case .headerTooLarge: 431
    case .versionNotSupported: 505
    case .unavailable: 503
    case .missingHost, .repeatedHost, .invalidHost, .repeatedContentLength, .invalidContentLength,
      .contentLengthWithTransferEncoding, .invalidTransferEncoding, .invalidMethod, .invalidTarget,
      .invalidField:
      400
    }
  }
}
