internal import Encoding
public import Endpoints
internal import HTTP
public import Registry

// What an administrator does with clients.

extension API {
  /// Throws `clientIDTaken`, `clientEmailTaken`.
  func createClient(
    _ administrator: Administrator, _ input: NewClient
  ) async throws(RegistryError) -> Created<Client> {
    let client = try await services.clients.createClient(
      id: input.id, email: input.email, telegramID: input.telegramID, change: administrator.change)
    return Created(value: client, location: "/api/v1/clients/\(PercentEncoding.encode(client.id.text))")
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

  /// Throws `clientNotFound`.
  func deleteClient(_ administrator: Administrator, _ input: ClientPath) async throws(RegistryError)
    -> NoContent
  {
    try await services.clients.deleteClient(input.id, change: administrator.change)
    return NoContent()
  }
}

/// `{"id"?, "email"?, "telegram_id"?}`; null is as good as absent.
struct NewClient: Input {
  let id: ClientID?
  let email: Email?
  let telegramID: Int64?

  private struct Body: Decodable {
    let id: String?
    let email: String?
    let telegram_id: JSONInteger?
  }

  static let description = InputDescription(
    body: Schema(
      name: "ClientInput",
      definition: [
        "type": "object",
        "additionalProperties": false,
        "properties": [
          "id": [
            "type": ["string", "null"], "minLength": 1, "maxLength": .integer(Int64(ClientID.maximumLength)),
            "pattern": "^[!-~]*$", "description": "Default: a new UUID.",
          ],
          "email": [
            "type": ["string", "null"], "format": "email", "maxLength": .integer(Int64(Email.maximumLength)),
          ],
          "telegram_id": Int64?.schema.adding(Client.telegramIDBounds),
        ],
      ]))

  init(of call: Call) throws(Problem) {
    let body = try call.json(Body.self)
    id = body.id.flatMap { ClientID($0) }
    email = body.email.flatMap { Email($0) }
    telegramID = body.telegram_id?.value

    var errors: [Problem.FieldError] = []
    if body.id != nil, id == nil {
      errors.append(
        .init(field: "id", message: "must have 1 to \(ClientID.maximumLength) visible ASCII characters"))
    }
    if body.email != nil, email == nil {
      errors.append(.init(field: "email", message: "must be an e-mail address"))
    }
    guard errors.isEmpty else { throw .invalidValues(errors) }
  }
}

/// A client in the path.
struct ClientPath: Input {
  let id: ClientID

  static let description = InputDescription(parameters: [
    ParameterDescription(
      name: "id", place: .path, meaning: "The client's id, percent-encoded.", schema: ClientID.schema)
  ])

  /// What is not of the form of an id names no client.
  init(of call: Call) throws(Problem) {
    guard let text = call.pathParameters[0], let id = ClientID(text) else { throw Problem(.clientNotFound) }
    self.id = id
  }
}

extension Client: JSONObject {
  public static var name: String? { "Client" }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("id") { $0.id }
    members.add("email") { $0.email }
    members.add("telegram_id", telegramIDBounds) { $0.telegramID }
    members.add("created_at") { $0.createdAt }
  }

  fileprivate static let telegramIDBounds: JSONValue = [
    "format": "int64", "minimum": .integer(.min), "maximum": .integer(.max),
  ]
}
