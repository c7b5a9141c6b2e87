internal import Encoding
public import Endpoints
internal import HTTP
public import Registry

// The administrator's operations on clients.

extension API {
  /// Throws `clientIDTaken`, `clientEmailTaken`.
  func createClient(
    _ administrator: Administrator, _ input: Creating<NewClient>
  ) async throws(RegistryError) -> Created<Client> {
    let new = input.content
    let client = try await services.idempotency.once(
      input.key, of: administrator.clientID, change: administrator.change
    ) { (change) async throws(RegistryError) in
      try await services.clients.createClient(
        id: new.id, email: new.email, telegramID: new.telegramID, maxDevices: new.maxDevices, change: change)
    } replay: { (id) async throws(RegistryError) in
      try await services.clients.getClient(ClientID(stored: id))
    }
    return Created(
      value: client.value, location: "/api/v1/clients/\(PercentEncoding.encode(client.value.id.text))",
      isReplayed: client.isReplayed)
  }

  func listClients(
    _ administrator: Administrator, _ input: PageInput<ClientCursor>
  ) async throws(RegistryError) -> Listing<Client> {
    let page = try await services.clients.listClients(
      limit: input.limit ?? ClientService.maximumPage, after: input.cursor)
    return Listing(elements: page.elements, next: page.next.map(input.link))
  }

  /// Throws `clientNotFound`.
  func getClient(_ administrator: Administrator, _ input: ClientPath) async throws(RegistryError) -> OK<Client>
  {
    OK(value: try await services.clients.getClient(input.id))
  }

  /// Throws `clientNotFound`, `clientEmailTaken`.
  func updateClient(
    _ administrator: Administrator, _ input: PathAndBody<ClientPath, ChangedClient>
  ) async throws(RegistryError) -> OK<Client> {
    OK(
      value: try await services.clients.updateClient(
        input.path.id, input.body.update, change: administrator.change))
  }

  /// Throws `clientNotFound`.
  func suspendClient(
    _ administrator: Administrator, _ input: PathAndBody<ClientPath, Reason>
  ) async throws(RegistryError) -> OK<Client> {
    OK(
      value: try await services.clients.suspendClient(
        input.path.id, change: administrator.change.because(input.body.reason)))
  }

  /// Throws `clientNotFound`.
  func resumeClient(
    _ administrator: Administrator, _ input: PathAndBody<ClientPath, Reason>
  ) async throws(RegistryError) -> OK<Client> {
    OK(
      value: try await services.clients.resumeClient(
        input.path.id, change: administrator.change.because(input.body.reason)))
  }

  /// Throws `clientNotFound`.
  func deleteClient(_ administrator: Administrator, _ input: ClientPath) async throws(RegistryError)
    -> NoContent
  {
    try await services.clients.deleteClient(input.id, change: administrator.change)
    return NoContent()
  }
}

/// The body that creates a client.
struct NewClient: JSONInput {
  let id: ClientID?
  let email: Email?
  let telegramID: Int64?
  let maxDevices: Int?

  static let body = JSONBody(
    "ClientInput",
    .object(
      .optional(
        "id",
        .text(
          ClientID.schema,
          message: "must have 1 to \(ClientID.maximumLength) visible ASCII characters, and not be . or ..",
          parse: ClientID.init),
        "Default: a new UUID."),
      .optional("email", ClientRules.email),
      .optional("telegram_id", .integer(Client.telegramIDBounds)),
      .optional("max_devices", .integer(in: Client.deviceLimits), ClientRules.maxDevicesMeaning)
    ) { NewClient(id: $0, email: $1, telegramID: $2, maxDevices: $3) })
}

/// The body that changes a client. An empty one changes nothing.
struct ChangedClient: JSONInput {
  let update: ClientUpdate

  static let body = JSONBody(
    "ClientUpdate",
    .object(
      .removable("email", ClientRules.email),
      .removable("telegram_id", .integer(Client.telegramIDBounds)),
      .removable("max_devices", .integer(in: Client.deviceLimits), ClientRules.maxDevicesMeaning)
    ) { ChangedClient(update: ClientUpdate(email: $0, telegramID: $1, maxDevices: $2)) })
}

private enum ClientRules {
  static let email = Rule<Email>.text(
    String.schema.adding(["format": "email", "maxLength": .integer(Int64(Email.maximumLength))]),
    message: "must be an e-mail address", parse: Email.init)

  static let maxDevicesMeaning =
    "Devices that the client may have, revoked ones included; null for `MAX_DEVICES_PER_CLIENT`."
}

/// The path of a client.
struct ClientPath: PathInput {
  let id: ClientID

  static let parameter = PathParameter(
    ClientID.schema, "The client's id, percent-encoded.", notFound: Problem(.clientNotFound)
  ) { ClientID($0) }
}

extension Client: JSONObject {
  public static var name: String? { "ClientAccount" }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("id") { $0.id }
    members.add("email") { $0.email }
    members.add("telegram_id", telegramIDBounds) { $0.telegramID }
    members.add("created_at") { $0.createdAt }
    members.add("status", ["enum": ["active", "suspended"]]) { $0.suspension == nil ? "active" : "suspended" }
    members.add("status_reason", ["description": "Why the client is suspended."]) { $0.suspension?.reason }
    members.add("max_devices", ["minimum": 0, "description": .string(ClientRules.maxDevicesMeaning)]) {
      $0.maxDevices.map(Int64.init)
    }
    members.add(
      "device_count", ["minimum": 0, "description": "Devices that the client has, revoked ones included."]
    ) {
      Int64($0.deviceCount)
    }
  }

  static let telegramIDBounds: JSONValue = [
    "format": "int64", "minimum": .integer(.min), "maximum": .integer(.max),
  ]
}
