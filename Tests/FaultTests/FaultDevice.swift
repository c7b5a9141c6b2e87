import Foundation
import RequestSignature
import TestSupport

/// A device, which signs what it sends or trades its secret for a token.
struct FaultDevice: Sendable {
  let id: String
  let secret: String

  /// Sends a signed request.
  func ask(
    _ method: String, _ target: String, body: [UInt8]? = nil, nonce: String = UUID().uuidString,
    created: Int64 = Int64(Date().timeIntervalSince1970), of service: Service
  ) async throws -> HTTPAnswer {
    try await ask(method, target, body: body, nonce: nonce, created: created, at: service.client)
  }

  /// The same, to a service or what is in front of it.
  func ask(
    _ method: String, _ target: String, body: [UInt8]? = nil, nonce: String = UUID().uuidString,
    created: Int64 = Int64(Date().timeIntervalSince1970), at client: HTTPClient
  ) async throws -> HTTPAnswer {
    var fields = try signature(of: method, target, body, nonce, created, client.port)
    if body != nil { fields.append(("Content-Type", "application/json")) }
    return try await client.send(method, target, fields: fields, body: body)
  }

  /// The bytes of a signed request without a body, with a new nonce, for a connection that is kept open.
  func signed(_ method: String, _ target: String, of service: Service) throws -> [UInt8] {
    let created = Int64(Date().timeIntervalSince1970)
    let fields = try signature(of: method, target, nil, UUID().uuidString, created, service.client.port)
    let lines = fields.map { "\($0.0): \($0.1)\r\n" }.joined()
    return Array("\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1:\(service.client.port)\r\n\(lines)\r\n".utf8)
  }

  /// The fields that sign a request.
  private func signature(
    of method: String, _ target: String, _ body: [UInt8]?, _ nonce: String, _ created: Int64, _ port: UInt16
  ) throws -> [(String, String)] {
    let authority = "127.0.0.1:\(port)"
    let view = RequestView(
      method: method, target: target, scheme: "http", authority: authority, body: body ?? []
    ) { $0 == "host" ? [authority] : [] }
    let keys = Array(secret.utf8).withUnsafeBufferPointer { DeviceKeys(secret: $0) }
    return try RequestSigner(keyID: id, keys: keys).sign(view, nonce: nonce, created: created).lines
      .map { ($0.name, $0.value) }
  }

  func poll(_ query: String = "", of service: Service) async throws -> HTTPAnswer {
    try await ask("GET", "/api/v1/device/poll\(query)", of: service)
  }

  /// Asks for a token.
  func askForToken(of service: Service) async throws -> HTTPAnswer {
    let form = "grant_type=client_credentials&client_id=\(id)&client_secret=\(secret)"
    return try await service.client.send(
      "POST", "/api/v1/device/token", fields: [("Content-Type", "application/x-www-form-urlencoded")],
      body: Array(form.utf8))
  }

  func token(of service: Service) async throws -> String {
    let answer = try await askForToken(of: service)
    guard answer.status == 200, let token = try answer.string("access_token") else {
      throw Unmet("no token: \(answer.status) \(answer.text)")
    }
    return token
  }
}
