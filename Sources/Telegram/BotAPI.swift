internal import Encoding
internal import EventLoop
internal import HTTPClient
internal import JSON
internal import Registry

/// Calls methods of Telegram's Bot API (https://core.telegram.org/bots/api). No error and no log has a URL, because that has
/// the token.
final class BotAPI: Sendable {
  /// Bytes of an answer: some hundred times what a page of updates has.
  static let maximumAnswerBytes = 4 * 1024 * 1024
  static let connectTimeoutMilliseconds = 5000
  /// From the start of a call until its answer is read, without the time that the server waits.
  static let timeoutMilliseconds = 10_000
  /// How long the server waits for an update.
  static let pollSeconds = 25
  /// Updates of an answer.
  static let maximumUpdates = 20
  /// Requests at a time: a poll, the bot's name, and the messages of the notifier and of one conversation.
  static let maximumTransfers = 2 + Notifier.maximumTurns + 1

  private let client: WebClient
  private let token: BotToken
  private let settings: BotSettings

  /// Called on the loop. The caller closes it. Throws `unavailable` when the system has no memory left.
  init(on loop: EventLoop, _ settings: BotSettings) throws(RegistryError) {
    do throws(FetchError) {
      // The operator names the server, which may be in a private network.
      client = try WebClient(on: loop, maximumTransfers: Self.maximumTransfers)
    } catch {
      throw .unavailable(cause: error.description)
    }
    token = settings.token
    self.settings = settings
  }

  /// Ends all calls. From any task; the loop must run until this returns.
  func close() async { await client.close() }

  // MARK: Methods

  /// The bot's user name.
  func name() async throws(BotFailure) -> String {
    guard let name = try await call("getMe", [])["username"]?.text, Self.nameLength.contains(name.utf8.count),
      name.utf8.allSatisfy({ $0.isLetter || $0.isDigit || $0 == UInt8(ascii: "_") })
    else { throw .unanswered(reason: "the bot has no user name") }
    return name
  }

  static let nameLength = 1...64

  /// The next updates, which it waits for. Those before `offset` count as processed from now on.
  ///
  /// What a stranger's program sent must not keep the updates of others waiting: one that is no JSON is passed over.
  func updates(from offset: Int64?) async throws(BotFailure) -> [BotUpdate] {
    do throws(BotFailure) {
      return try await updates(from: offset, limit: Self.maximumUpdates)
    } catch {
      guard case .unreadable = error else { throw error }
    }
    do throws(BotFailure) {
      return try await updates(from: offset, limit: 1)
    } catch {
      guard case .unreadable(let id?) = error else { throw error }
      return [BotUpdate(passedOver: id)]
    }
  }

  private func updates(from offset: Int64?, limit: Int) async throws(BotFailure) -> [BotUpdate] {
    let parameters: JSONMembers = [
      ("offset", offset.map(String.init)), ("limit", String(limit)),
      ("timeout", String(Self.pollSeconds)), ("allowed_updates", #"["message","callback_query"]"#),
    ]
    let result = try await call("getUpdates", parameters, waitSeconds: Self.pollSeconds)
    guard case .array(let elements) = result else { throw .unanswered(reason: "the answer has no updates") }
    return try elements.map { (element) throws(BotFailure) in
      guard let update = BotUpdate(element) else { throw .unanswered(reason: "an update has no id") }
      return update
    }
  }

  func send(_ message: BotMessage, to chat: Int64) async throws(BotFailure) {
    _ = try await call("sendMessage", [("chat_id", String(chat))] + message.members)
  }

  /// Replaces the text and the buttons of a message, unless it has them already, or its user deleted it.
  func edit(_ id: Int64, in chat: Int64, to message: BotMessage) async throws(BotFailure) {
    try await callOnce(
      "editMessageText", [("chat_id", String(chat)), ("message_id", String(id))] + message.members)
  }

  /// Ends the wait that Telegram shows on a pressed button, unless it has ended.
  func answerPress(_ id: String) async throws(BotFailure) {
    try await callOnce("answerCallbackQuery", [("callback_query_id", JSONString.quoted(id))])
  }

  // MARK: Calls

  /// Members of an object, as JSON; nil leaves one out.
  typealias JSONMembers = [(name: String, value: String?)]

  /// A call for which Telegram has an error when there is nothing left to do, as after a second press on a button. Its code
  /// is that of a bad request.
  private func callOnce(_ method: String, _ parameters: JSONMembers) async throws(BotFailure) {
    do throws(BotFailure) {
      _ = try await call(method, parameters)
    } catch .refused(code: 400, _) {
    }
  }

  private func call(
    _ method: String, _ parameters: JSONMembers, waitSeconds: Int = 0
  ) async throws(BotFailure) -> ParsedJSON {
    let members = parameters.compactMap { member in member.value.map { #""\#(member.name)":\#($0)"# } }
    var request = WebClient.Request(url: settings.origin + token.path(of: method))
    request.method = .post(body: Array("{\(members.joined(separator: ","))}".utf8))
    request.fields = [("Content-Type", "application/json"), ("User-Agent", "device-registry-telegram")]
    request.certificateFile = settings.certificateFile
    request.allowsPlainHTTP = settings.origin.hasPrefix("http://")
    request.maximumBodyLength = Self.maximumAnswerBytes
    request.keepsConnection = true
    request.connectTimeoutMilliseconds = Self.connectTimeoutMilliseconds
    request.totalTimeoutMilliseconds = Self.timeoutMilliseconds + waitSeconds * 1000
    let answer: WebClient.Answer
    do throws(FetchError) {
      answer = try await client.fetch(request)
    } catch .cancelled, .closed {
      throw .ended
    } catch {
      throw .unanswered(reason: error.description)
    }
    return try Self.result(status: answer.status, answer.body, token)
  }

  /// The `result` of an answer ("Making requests"; of errors, "ResponseParameters").
  ///
  /// A proxy's answer has no `ok`, whatever its status is.
  static func result(status: Int, _ content: [UInt8], _ token: BotToken) throws(BotFailure) -> ParsedJSON {
    guard case .object(let answer)? = try? ParsedJSON(content) else {
      guard status == 200 else { throw .unanswered(reason: "status \(status) without a JSON object") }
      throw .unreadable(update: BotUpdate.firstID(in: content))
    }
    if answer["ok"] == .boolean(true), let result = answer["result"] { return result }
    guard answer["ok"] == .boolean(false), let code = answer["error_code"]?.wholeNumber else {
      throw .unanswered(reason: "status \(status) without an answer of the Bot API")
    }
    switch code {
    case 401, 404: throw .tokenRefused
    case 403: throw .blocked
    case 409: throw .conflict
    case 429:
      let wait = answer["parameters"]?["retry_after"]?.wholeNumber ?? 1
      throw .tooManyRequests(retryAfterSeconds: Int(min(max(wait, 1), maximumRetryAfterSeconds)))
    case 500...: throw .unanswered(reason: "status \(code)")
    default:
      let description = answer["description"]?.text ?? ""
      throw .refused(
        code: Int(code), description: String(token.removed(from: description).prefix(maximumReasonLength)))
    }
  }

  /// A longer wait than this is not obeyed at once: the call is tried again, and refused again.
  static let maximumRetryAfterSeconds: Int64 = 300
  /// Characters of a description that an error keeps.
  static let maximumReasonLength = 200
}

/// How the Bot API is reached.
public struct BotSettings: Sendable {
  public let token: BotToken
  /// `https://HOST[:PORT]` or `http://HOST[:PORT]`.
  public let origin: String
  /// PEM certificates to trust instead of the system's.
  let certificateFile: String?

  public init(token: BotToken, origin: String, certificateFile: String?) {
    self.token = token
    self.origin = origin
    self.certificateFile = certificateFile
  }
}

/// Why a call has no result.
public enum BotFailure: Error, Hashable, Sendable {
  /// Telegram asks to wait.
  case tooManyRequests(retryAfterSeconds: Int)
  /// Another program fetches the bot's updates, or it has a webhook.
  case conflict
  /// Telegram knows no bot with the token.
  case tokenRefused
  /// The user blocked the bot, or deleted the account.
  case blocked
  case refused(code: Int, description: String)
  /// The answer is no JSON. It may have an update, whose id is this.
  case unreadable(update: Int64?)
  /// No answer, or none of the Bot API. The reason names no URL.
  case unanswered(reason: String)
  /// The service stops.
  case ended
}

extension BotFailure: CustomStringConvertible {
  public var description: String {
    switch self {
    case .tooManyRequests(let seconds): "Telegram asks to wait \(seconds) s"
    case .conflict: "another program fetches this bot's updates, or the bot has a webhook"
    case .tokenRefused: "Telegram knows no bot with this token"
    case .blocked: "the user blocked the bot"
    case .refused(let code, let description): "error \(code): \(description)"
    case .unreadable: "the answer is no JSON"
    case .unanswered(let reason): reason
    case .ended: "the service stops"
    }
  }
}

extension ParsedJSON {
  /// A member of an object.
  subscript(name: String) -> ParsedJSON? {
    if case .object(let object) = self { object[name] } else { nil }
  }

  var text: String? { if case .string(let text) = self { text } else { nil } }
}
