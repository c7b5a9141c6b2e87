import Foundation
import RequestSignature
import TestSupport
import Testing

/// A device with its secret, which signs what it sends with the project's own room of signatures.
struct TestDevice: Sendable {
  let id: String
  let secret: String

  /// What a signed request is made of; tests change what they are about.
  struct SignedRequest {
    var method = "GET"
    var target: String
    var body: [UInt8]?
    var nonce = TestDevice.newNonce()
    var created = Int64(Date().timeIntervalSince1970)
    var expires: Int64?
    /// The origin that is signed; that of the socket unless told otherwise.
    var scheme = "http"
    var authority: String?
    var covering: [Component] = []
    var fields: [(String, String)] = []
    /// Changes the fields of the signature.
    var tamper: (inout [(name: String, value: String)]) -> Void = { _ in }

    init(_ method: String = "GET", _ target: String, body: [UInt8]? = nil) {
      self.method = method
      self.target = target
      self.body = body
    }

    init(_ method: String = "GET", _ target: String, json: Any) throws {
      self.init(method, target, body: Array(try JSONSerialization.data(withJSONObject: json)))
    }
  }

  static func newNonce() -> String { UUID().uuidString.lowercased() }

  var keys: DeviceKeys { Array(secret.utf8).withUnsafeBufferPointer { DeviceKeys(secret: $0) } }

  /// The fields to send a request with.
  func fields(of request: SignedRequest, port: UInt16) throws -> [(name: String, value: String)] {
    let all = [("host", "127.0.0.1:\(port)")] + request.fields.map { ($0.0.lowercased(), $0.1) }
    let view = RequestView(
      method: request.method, target: request.target, scheme: request.scheme,
      authority: request.authority ?? "127.0.0.1:\(port)", body: request.body ?? []
    ) { name in all.filter { $0.0 == name }.map(\.1) }
    var lines = try RequestSigner(keyID: id, keys: keys).sign(
      view, nonce: request.nonce, created: request.created, expires: request.expires, covering: request.covering
    ).lines
    request.tamper(&lines)
    return lines
  }

  /// Checks the answer's signature; throws `ResponseRefusal` unless it is the registry's answer to this nonce.
  func verify(_ answer: HTTPAnswer, nonce: String) throws {
    try ResponseVerifier(keyID: id, nonce: nonce, keys: keys).verify(
      ResponseView(status: answer.status, body: answer.body) { name in
        answer.fields.filter { $0.name == name }.map(\.value)
      })
  }
}

extension TestRegistry {
  /// Sends a signed request, and holds the answer against the document. The answer's signature is not checked.
  func send(_ request: TestDevice.SignedRequest, as device: TestDevice) async throws -> HTTPAnswer {
    var fields = try device.fields(of: request, port: client.port).map { ($0.name, $0.value) } + request.fields
    if request.body != nil, !fields.contains(where: { $0.0.lowercased() == "content-type" }) {
      fields.append(("Content-Type", "application/json"))
    }
    let answer = try await client.send(request.method, request.target, fields: fields, body: request.body)
    check(answer, to: request.method, request.target)
    return answer
  }

  /// Sends a signed request, whose answer must be signed too.
  func ask(_ request: TestDevice.SignedRequest, as device: TestDevice) async throws -> HTTPAnswer {
    let answer = try await send(request, as: device)
    do { try device.verify(answer, nonce: request.nonce) } catch { Issue.record("\(answer.status): \(error)") }
    return answer
  }

  /// A request that is signed at the registry's time.
  func request(_ method: String = "GET", _ target: String, json: Any? = nil) throws -> TestDevice.SignedRequest
  {
    var request =
      try json.map { try TestDevice.SignedRequest(method, target, json: $0) } ?? .init(method, target)
    request.created = clock.secondsSince1970
    return request
  }

  func whoami(_ device: TestDevice) async throws -> HTTPAnswer {
    try await ask(request("GET", "/api/v1/device"), as: device)
  }

  func poll(_ device: TestDevice, query: String = "") async throws -> HTTPAnswer {
    try await ask(request("GET", "/api/v1/device/poll" + query), as: device)
  }

  /// A poll whose answer need not be signed, and how it fails; nil where it does not.
  func refusal(of device: TestDevice) async throws -> String? {
    let answer = try await send(request("GET", "/api/v1/device/poll"), as: device)
    return answer.status == 200 ? nil : try Self.kind(answer)
  }

  func ack(_ device: TestDevice, _ acks: [[String: Any]]) async throws -> HTTPAnswer {
    try await ask(request("POST", "/api/v1/device/ack", json: ["acks": acks]), as: device)
  }

  /// Asks for a token with the device's id and secret in the form.
  func askToken(_ device: TestDevice) async throws -> HTTPAnswer {
    let form = "grant_type=client_credentials&client_id=\(device.id)&client_secret=\(device.secret)"
    let answer = try await client.send(
      "POST", "/api/v1/device/token", fields: [("Content-Type", "application/x-www-form-urlencoded")],
      body: Array(form.utf8))
    check(answer, to: "POST", "/api/v1/device/token")
    return answer
  }

  /// A token of the device, which must get one.
  func newToken(of device: TestDevice) async throws -> String {
    let answer = try await askToken(device)
    try #require(answer.status == 200, "\(answer.text)")
    return try #require(try answer.string("access_token"))
  }

  /// Gives the device a new secret.
  func rotate(_ device: TestDevice, of owner: TestOwner, graceSeconds: Int? = nil) async throws
    -> (device: TestDevice, graceExpiresAt: String)
  {
    let json = graceSeconds.map { ["grace_seconds": $0] }
    let answer = try await ask("POST", "/api/v1/devices/\(device.id)/rotate", as: owner, json: json)
    try #require(answer.status == 200, "\(answer.text)")
    return (
      TestDevice(id: device.id, secret: try #require(try answer.string("secret"))),
      try #require(try answer.string("grace_expires_at"))
    )
  }

  func revoke(_ device: TestDevice, of owner: TestOwner) async throws {
    let answer = try await ask("POST", "/api/v1/devices/\(device.id)/revoke", as: owner)
    try #require(answer.status == 204)
  }

  /// The ids of the signals that a poll hands out.
  func polledIDs(_ device: TestDevice, query: String = "") async throws -> [String] {
    let answer = try await poll(device, query: query)
    try #require(answer.status == 200, "\(answer.text)")
    return (try answer.object()["signals"] as! [[String: Any]]).map { $0["id"] as! String }
  }

  /// Registers a device of a new owner.
  func newSignedDevice(of owner: TestOwner, _ name: String = "EA-\(UUID().uuidString)") async throws
    -> TestDevice
  {
    let device = try await newDevice(of: owner, name)
    return TestDevice(id: device["id"] as! String, secret: device["secret"] as! String)
  }

  /// Sends a signal, and answers its id.
  func newSignal(
    of owner: TestOwner, to devices: [TestDevice]? = nil, payload: [String: Any] = ["symbol": "EURUSD"],
    ttlSeconds: Int? = nil
  ) async throws -> String {
    var json: [String: Any] = ["payload": payload]
    if let devices { json["device_ids"] = devices.map(\.id) } else { json["all"] = true }
    if let ttlSeconds { json["ttl_seconds"] = ttlSeconds }
    let answer = try await ask("POST", "/api/v1/signals", as: owner, json: json)
    try #require(answer.status == 201, "\(answer.text)")
    return try #require(try answer.string("id"))
  }

  /// The last part of a problem's type.
  static func kind(_ answer: HTTPAnswer) throws -> String {
    try answer.string("type")?.split(separator: "/").last.map(String.init) ?? ""
  }
}
