internal import HTTP
internal import Registry

/// A request on its way through a route.
struct Call: Sendable {
  let request: Request
  let endpoint: Endpoint
  /// Of the path's parameters the values, percent-decoded once; nil where the encoding is broken.
  let pathParameters: [String?]

  /// Size: a body that is too large was not kept, whatever its route.
  func testSize() throws(Problem) { try request.testSize() }

  /// The content; `receiveContent` has seen that it is whole.
  var content: [UInt8] { request.content }

  /// The device that the path names. What is not of the form of an id names no device.
  func deviceID() throws(Problem) -> DeviceID {
    guard let text = pathParameters[0], let id = DeviceID(text) else { throw Problem(.deviceNotFound) }
    return id
  }

  /// The client that the path names. What is not of the form of an id names no client.
  func clientID() throws(Problem) -> ClientID {
    guard let text = pathParameters[0], let id = ClientID(text) else { throw Problem(.clientNotFound) }
    return id
  }

  /// The signal that the path names. What is not of the form of an id names no signal.
  func signalID() throws(Problem) -> SignalID {
    guard let text = pathParameters[0], let id = SignalID(text) else { throw Problem(.signalNotFound) }
    return id
  }

  /// A query parameter that is a whole number within bounds; nil where it is absent.
  func numberParameter(_ name: String, in bounds: ClosedRange<Int>) throws(Problem) -> Int? {
    guard let text = try queryParameter(name) else { return nil }
    guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
      let number = Int(text), bounds.contains(number)
    else { throw .notWithin(bounds, name) }
    return number
  }

  /// A query parameter, decoded; nil where it is absent.
  func queryParameter(_ name: String) throws(Problem) -> String? {
    do throws(QueryParameters.Failure) {
      return try QueryParameters(request.query).value(of: name)
    } catch {
      switch error {
      case .repeated: throw .invalidValue(of: name, "must not be given twice")
      case .badEncoding: throw .invalidValue(of: name, "must be percent-encoded UTF-8")
      }
    }
  }
}
