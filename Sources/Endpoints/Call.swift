internal import Encoding
public import HTTP

/// A request on its way through an endpoint.
public struct Call: Sendable {
  public let request: Request
  public let endpoint: Operation
  /// The values of the path's parameters, percent-decoded once; nil where the encoding is broken.
  public let pathParameters: [String?]
  /// When the request arrived as a whole.
  public let start: ContinuousClock.Instant

  public init(
    request: Request, endpoint: Operation, pathParameters: [String?],
    start: ContinuousClock.Instant = .now
  ) {
    (self.request, self.endpoint, self.pathParameters) = (request, endpoint, pathParameters)
    self.start = start
  }

  /// The content; `receiveWholeContent` has seen that it is whole.
  public var content: [UInt8] { request.content }
}

extension Request {
  /// The content; `receiveWholeContent` has seen that it is whole.
  public var content: [UInt8] {
    if case .complete(let bytes) = body { return bytes }
    return []
  }

  /// A body that is too large was not kept, whatever its route.
  public func testSize() throws(Problem) {
    if case .tooLarge(let maximumBytes) = body { throw .contentTooLarge(maximumBytes: maximumBytes) }
  }

  /// Waits for the content, where the client waits to be told to send it, and tests its size.
  public func receiveWholeContent() async throws(Problem) {
    if case .expected = body { await receiveContent() }
    try testSize()
    if case .lost = body { throw .contentLost }
  }
}
