internal import Encoding
public import Foundation

// An administrator's requests on clients. The token needs the scope `registry:admin`, which opens nobody's devices.

/// An owner of devices.
public struct ClientAccount: Decodable, Hashable, Sendable, Identifiable {
  /// The `sub` of the client's tokens.
  public let id: String
  public let email: String?
  /// The client's user id on Telegram.
  public let telegramID: Int64?
  public let status: Status
  /// Why it is suspended.
  public let statusReason: String?
  /// Devices that it may have, revoked ones included; nil for the registry's limit.
  public let maxDevices: Int?
  /// Devices that it has, revoked ones included.
  public let deviceCount: Int
  public let createdAt: Date

  public enum Status: String, Decodable, Hashable, Sendable {
    case active
    /// Its owner and all its devices are refused.
    case suspended
  }

  enum CodingKeys: String, CodingKey {
    case id, email, status
    case telegramID = "telegram_id"
    case statusReason = "status_reason"
    case maxDevices = "max_devices"
    case deviceCount = "device_count"
    case createdAt = "created_at"
  }
}

/// What to change of a client. Nil leaves a value as it is, `.some(nil)` clears it.
public struct ClientChange: Encodable, Hashable, Sendable {
  public var email: String??
  public var telegramID: Int64??
  public var maxDevices: Int??

  public init(email: String?? = nil, telegramID: Int64?? = nil, maxDevices: Int?? = nil) {
    self.email = email
    self.telegramID = telegramID
    self.maxDevices = maxDevices
  }

  enum CodingKeys: String, CodingKey {
    case email
    case telegramID = "telegram_id"
    case maxDevices = "max_devices"
  }
}

extension OwnerClient {
  /// Adds a client. Throws a `problem` of kind `client-id-taken` or `client-email-taken`.
  ///
  /// - Parameters:
  ///   - id: 1 to 64 visible ASCII characters; nil for a new UUID.
  ///   - maxDevices: devices that it may have, revoked ones included; nil for the registry's limit.
  public func createClient(
    id: String? = nil, email: String? = nil, telegramID: Int64? = nil, maxDevices: Int? = nil,
    idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> ClientAccount {
    let new = NewClient(id: id, email: email, telegram_id: telegramID, max_devices: maxDevices)
    let body = try Data.json(new, "client")
    return try await perform(
      OwnerRequest("POST", clientsPath, body: body, isCreating: true), idempotencyKey: idempotencyKey)
  }

  /// All clients, oldest first. Pages are fetched as elements are read.
  public func clients() -> Pages<ClientAccount> { Pages(exchange: exchange, target: clientsPath) }

  /// One client. Throws a `problem` with 404 if it does not exist.
  public func client(_ id: String) async throws(RegistryClientError) -> ClientAccount {
    try await perform(OwnerRequest("GET", path(ofClient: id)))
  }

  /// Changes a client. Throws as `client` does, and a `problem` of kind `client-email-taken`.
  @discardableResult
  public func changeClient(_ id: String, _ change: ClientChange) async throws(RegistryClientError)
    -> ClientAccount
  {
    try await perform(OwnerRequest("PATCH", path(ofClient: id), body: try .json(change, "change")))
  }

  /// Suspends a client: its owner's requests and those of all its devices are refused until it is resumed. Repeating it
  /// has no effect. Throws as `client` does.
  ///
  /// - Parameter reason: at most 200 characters, for the event and `statusReason`.
  @discardableResult
  public func suspendClient(_ id: String, reason: String? = nil) async throws(RegistryClientError)
    -> ClientAccount
  {
    try await perform(OwnerRequest("POST", path(ofClient: id) + "/suspend", body: try .reason(reason)))
  }

  /// Resumes a suspended client. Repeating it has no effect. Throws as `client` does.
  @discardableResult
  public func resumeClient(_ id: String, reason: String? = nil) async throws(RegistryClientError)
    -> ClientAccount
  {
    try await perform(OwnerRequest("POST", path(ofClient: id) + "/resume", body: try .reason(reason)))
  }

  /// Deletes a client, and its devices and everything else that belongs to it. Throws as `client` does.
  public func deleteClient(_ id: String) async throws(RegistryClientError) {
    try await perform(OwnerRequest<Void>("DELETE", path(ofClient: id)))
  }
}

private let clientsPath = "/api/v1/clients"

private func path(ofClient id: String) -> String { "\(clientsPath)/\(PercentEncoding.encode(id))" }

private struct NewClient: Encodable {
  let id, email: String?
  let telegram_id: Int64?
  let max_devices: Int?
}
