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
  public let createdAt: Date

  enum CodingKeys: String, CodingKey {
    case id, email
    case telegramID = "telegram_id"
    case createdAt = "created_at"
  }
}

extension OwnerClient {
  /// Adds a client. Throws a `problem` of kind `client-id-taken` or `client-email-taken`.
  ///
  /// - Parameter id: 1 to 64 visible ASCII characters; nil for a new UUID.
  public func createClient(
    id: String? = nil, email: String? = nil, telegramID: Int64? = nil, idempotencyKey: String? = nil
  ) async throws(RegistryClientError) -> ClientAccount {
    let body = try Data.json(NewClient(id: id, email: email, telegram_id: telegramID), "client")
    return try await perform(
      OwnerRequest("POST", clientsPath, body: body, isCreating: true), idempotencyKey: idempotencyKey)
  }

  /// All clients, oldest first. Pages are fetched as elements are read.
  public func clients() -> Pages<ClientAccount> { Pages(exchange: exchange, target: clientsPath) }

  /// One client. Throws a `problem` with 404 if it does not exist.
  public func client(_ id: String) async throws(RegistryClientError) -> ClientAccount {
    try await perform(OwnerRequest("GET", path(ofClient: id)))
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
}
