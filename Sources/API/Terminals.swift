internal import Encoding
public import Endpoints
public import Registry

// Where a device runs.

extension API {
  func release(
    _ device: AuthenticatedDevice, _ input: ReleasedInstance
  ) async throws(RegistryError) -> NoContent {
    try await services.terminals.release(input.instance, device.session)
    return NoContent()
  }

  func setContext(
    _ device: AuthenticatedDevice, _ input: ReportedContext
  ) async throws(RegistryError) -> NoContent {
    try await services.terminals.setContext(input.context, device.session)
    return NoContent()
  }
}

// MARK: Inputs

/// The body that gives a lease up.
struct ReleasedInstance: JSONInput {
  let instance: InstanceID

  static let body = JSONBody(
    "ReleaseInput",
    .object(
      Member(
        "instance", Rule<InstanceID>.text(InstanceID.schema, message: InstanceID.message) { InstanceID($0) },
        "As in the polls.")
    ) { ReleasedInstance(instance: $0) })
}

/// The body that says where a device runs.
struct ReportedContext: JSONInput {
  let context: DeviceContext

  static let body = JSONBody(
    "ContextInput", DeviceContext.rule.map(message: "") { ReportedContext(context: $0) })
}

extension TradingAccount {
  fileprivate static let text = Rule.text(atMost: maximumLength)
  fileprivate static let loginMember = Member("login", text, "The account's number, as text.")
  fileprivate static let serverMember = Member("server", text, "The broker's name of its server.")

  /// An account that an owner names.
  static let rule = Rule<TradingAccount>.object(loginMember, serverMember) {
    TradingAccount(login: $0, server: $1)
  }
}

extension DeviceContext {
  /// A part of a context: an object of texts.
  private typealias Part = Rule<String>

  private enum AccountMode: String, CaseIterable {
    case demo, contest, real
  }

  private static let account = Rule<(account: TradingAccount, json: String)>.object(
    TradingAccount.loginMember, TradingAccount.serverMember, Member("mode", Rule<AccountMode>.choice)
  ) { login, server, mode in
    (
      account: TradingAccount(login: login, server: server),
      json: object(("login", login), ("server", server), ("mode", mode.rawValue))
    )
  }

  private static let terminal = Part.object(
    Member("name", TradingAccount.text, "Of the trading platform."), Member("build", TradingAccount.text)
  ) { object(("name", $0), ("build", $1)) }

  private static let program = Part.object(
    Member("name", TradingAccount.text, "Of the program that trades."),
    Member("version", TradingAccount.text),
    .optional("symbol", TradingAccount.text, "Of its chart."),
    .optional("magic", TradingAccount.text, "The magic number of its orders, as text.")
  ) { object(("name", $0), ("version", $1), ("symbol", $2), ("magic", $3)) }

  fileprivate static let rule = Rule<DeviceContext>.object(
    Member("account", account), .optional("terminal", terminal), .optional("program", program)
  ) { (account, terminal, program) throws(Problem) in
    let parts = [("account", account.json), ("terminal", terminal), ("program", program)]
    let members = parts.compactMap { name, json in json.map { "\"\(name)\":\($0)" } }
    let json = "{\(members.joined(separator: ","))}"
    guard json.utf8.count <= maximumBytes else { throw .wrong("must have \(maximumBytes) bytes at most") }
    return DeviceContext(account: account.account, json: json)
  }

  /// A JSON object of texts, without those that are nil.
  private static func object(_ members: (name: String, value: String?)...) -> String {
    let texts = members.compactMap { member in
      member.value.map { "\"\(member.name)\":\(JSONString.quoted($0))" }
    }
    return "{\(texts.joined(separator: ","))}"
  }
}

extension InstanceID: JSONWritable {
  public static var schema: JSONValue { ["type": "string", "pattern": "^[A-Za-z0-9_-]{8,64}$"] }
  public func write(to json: inout JSONWriter) { json.string(text) }

  static let message = "must have 8 to 64 characters of A-Z a-z 0-9 - _"
}

// MARK: Answers

extension InstanceLease: JSONObject {
  public static var name: String? { "Instance" }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("id", ["description": "The name that the terminal drew."]) { $0.instance }
    members.add("since", ["description": "When it took the lease."]) { $0.since }
    members.add("last_poll", ["description": "When it last polled; each poll renews the lease."]) {
      $0.lastPoll
    }
  }
}

extension TradingAccount: JSONObject {
  public static var name: String? { "TradingAccount" }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("login") { $0.login }
    members.add("server") { $0.server }
  }
}

/// As the device sent it, without what it left out.
extension DeviceContext: JSONWritable {
  public static var schema: JSONValue {
    JSONText.schema.adding(["description": "Where the device runs, as it said: see ContextInput."])
  }
  public func write(to json: inout JSONWriter) { JSONText(bytes: Array(self.json.utf8)).write(to: &json) }
}
