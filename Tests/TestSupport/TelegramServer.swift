import EventLoop
import Foundation
import HTTP
import Synchronization

/// A Bot API server for one bot, over plain HTTP. It behaves as https://core.telegram.org/bots/api documents: updates are
/// kept until a higher offset is asked for, a second poller ends the first one's poll with 409, and messages that are no
/// HTML, too long, too early or to somebody who blocked the bot are refused.
public final class TelegramServer: Sendable {
  public static let botID = "7000000001"
  public static let secret = "AAsecret-of-the-tests_0123456789abcd"
  public static let name = "registry_test_bot"
  public static let token = "\(botID):\(secret)"

  /// A message of the bot in a chat.
  public struct Message: Hashable, Sendable {
    public let id: Int
    public let chat: Int
    public fileprivate(set) var html: String
    /// Label and data, by rows.
    public fileprivate(set) var buttons: [[Button]]
    public fileprivate(set) var isEdited = false

    /// The text without markup, and without the characters that isolate names.
    public var text: String {
      html.replacing(/<\/?[a-z]+>|[\u{2068}\u{2069}]/, with: "").replacing("&lt;", with: "<").replacing(
        "&gt;", with: ">"
      )
      .replacing("&amp;", with: "&")
    }

    public func data(of label: String) -> String? {
      buttons.joined().first { $0.label.contains(label) }?.data
    }
  }

  public struct Button: Hashable, Sendable {
    public let label: String
    public let data: String
  }

  private struct State {
    var updates: [(id: Int, json: [String: Any])] = []
    var nextUpdate = 5000
    var poll = 0
    var pollers = 0
    var conflicts = 0
    var messages: [Message] = []
    var answeredPresses = 0
    var blocked: Set<Int> = []
    var refusals = 0
    /// Requests for messages before this time are too early.
    var notBefore: ContinuousClock.Instant?
    var retryAfterSeconds = 0
    var early = 0
    var isConflicting = false
    var failures = 0
    var isHolding = false
    var held = 0
    var unchanged = 0
  }

  private final class Memory: Responder {
    nonisolated(unsafe) var state = State()
    let lock = Mutex(())
    let loop: EventLoop

    init(on loop: EventLoop) { self.loop = loop }

    func with<Value>(_ body: (inout State) -> Value) -> Value {
      lock.withLock { _ in body(&state) }
    }

    func respond(to request: Request) async -> Response {
      guard case .complete(let body) = request.body else { return Response(status: 400) }
      let parts = request.path.split(separator: "/").map(String.init)
      guard parts.count == 2, parts[0] == "bot\(TelegramServer.token)" else {
        return Self.error(401, "Unauthorized")
      }
      let input = (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any] ?? [:]
      switch parts[1] {
      case "getMe": return Self.answer(["id": 7_000_000_001, "is_bot": true, "username": TelegramServer.name])
      case "getUpdates": return await updates(input)
      case "sendMessage":
        if let silence = await silence() { return silence }
        return send(input)
      case "editMessageText":
        if let silence = await silence() { return silence }
        return edit(input)
      case "answerCallbackQuery":
        with { $0.answeredPresses += 1 }
        return Self.answer(true)
      default: return Self.error(404, "Not Found")
      }
    }

    func refuse(_ refusal: Refusal, requestID: String) -> Response { Response(status: refusal.status) }

    // MARK: Updates

    private func updates(_ input: [String: Any]) async -> Response {
      let offset = input["offset"] as? Int ?? 0
      let limit = input["limit"] as? Int ?? 100
      let deadline = ContinuousClock.now + .seconds(input["timeout"] as? Int ?? 0)
      let mine = with { state in
        if offset > 0 { state.updates.removeAll { $0.id < offset } }
        state.pollers += 1
        if state.pollers > 1 || state.isConflicting { state.conflicts += 1 }
        state.poll += 1
        return state.poll
      }
      defer { with { $0.pollers -= 1 } }
      while true {
        let (found, isEnded) = with { state in
          (
            Self.json(state.updates.prefix(limit).map(\.json)),
            state.poll != mine || state.isConflicting
          )
        }
        if isEnded {
          return Self.error(
            409,
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running")
        }
        if found != "[]" || ContinuousClock.now >= deadline || Task.isCancelled {
          return Self.answer(json: found)
        }
        await loop.sleep(milliseconds: 5)
      }
    }

    // MARK: Messages

    /// While messages are held, none gets an answer, and none arrives in its chat.
    private func silence() async -> Response? {
      guard with({ $0.isHolding }) else { return nil }
      with { $0.held += 1 }
      while with({ $0.isHolding }), !Task.isCancelled { await loop.sleep(milliseconds: 5) }
      return Self.error(502, "Bad Gateway")
    }

    private func refusal(of input: [String: Any], in chat: Int) -> Response? {
      with { state in
        if let time = state.notBefore {
          if ContinuousClock.now < time {
            state.early += 1
            return Self.tooMany(state.retryAfterSeconds)
          }
          state.notBefore = nil
        } else if state.retryAfterSeconds > 0 {
          state.notBefore = ContinuousClock.now + .seconds(state.retryAfterSeconds)
          state.refusals += 1
          defer { state.retryAfterSeconds = 0 }
          return Self.tooMany(state.retryAfterSeconds)
        }
        if state.failures > 0 {
          state.failures -= 1
          return Self.error(502, "Bad Gateway")
        }
        if state.blocked.contains(chat) { return Self.error(403, "Forbidden: bot was blocked by the user") }
        let html = input["text"] as? String ?? ""
        guard input["parse_mode"] as? String == "HTML", 1...4096 ~= html.count, Self.isHTML(html) else {
          return Self.error(400, "Bad Request: can't parse entities")
        }
        guard Self.buttons(input).joined().allSatisfy({ 1...64 ~= $0.data.utf8.count }) else {
          return Self.error(400, "Bad Request: BUTTON_DATA_INVALID")
        }
        return nil
      }
    }

    private func send(_ input: [String: Any]) -> Response {
      let chat = input["chat_id"] as? Int ?? 0
      if let refusal = refusal(of: input, in: chat) { return refusal }
      let id = with { state in
        let id = state.messages.count + 1
        state.messages.append(
          Message(id: id, chat: chat, html: input["text"] as! String, buttons: Self.buttons(input)))
        return id
      }
      return Self.answer(["message_id": id])
    }

    private func edit(_ input: [String: Any]) -> Response {
      let chat = input["chat_id"] as? Int ?? 0
      if let refusal = refusal(of: input, in: chat) { return refusal }
      let id = input["message_id"] as? Int ?? 0
      return with { state in
        guard let place = state.messages.firstIndex(where: { $0.id == id && $0.chat == chat }) else {
          return Self.error(400, "Bad Request: message to edit not found")
        }
        var message = state.messages[place]
        message.html = input["text"] as! String
        message.buttons = Self.buttons(input)
        guard message != state.messages[place] else {
          state.unchanged += 1
          return Self.error(400, "Bad Request: message is not modified")
        }
        message.isEdited = true
        state.messages[place] = message
        return Self.answer(["message_id": id])
      }
    }

    private static func buttons(_ input: [String: Any]) -> [[Button]] {
      let markup = input["reply_markup"] as? [String: Any]
      let rows = markup?["inline_keyboard"] as? [[[String: Any]]] ?? []
      return rows.map { row in
        row.map {
          Button(label: $0["text"] as? String ?? "", data: $0["callback_data"] as? String ?? "")
        }
      }
    }

    /// Whether every tag and every entity is one of Telegram's, and tags are closed.
    private static func isHTML(_ html: String) -> Bool {
      var open: [Substring] = []
      for tag in html.matches(of: /<(\/?)([a-z]+)>/) {
        if tag.output.1.isEmpty {
          open.append(tag.output.2)
        } else if open.popLast() != tag.output.2 {
          return false
        }
      }
      let rest = html.replacing(/<\/?(b|i|code|pre)>/, with: "").replacing(/&(lt|gt|amp|quot);/, with: "")
      return open.isEmpty && !rest.contains { "<>&".contains($0) }
    }

    // MARK: Answers

    private static func json(_ value: Any) -> String {
      String(
        decoding: (try? JSONSerialization.data(withJSONObject: value, options: .fragmentsAllowed)) ?? Data(),
        as: UTF8.self)
    }

    private static func answer(_ result: Any) -> Response { answer(json: json(result)) }

    private static func answer(json: String) -> Response { response(200, #"{"ok":true,"result":\#(json)}"#) }

    private static func tooMany(_ seconds: Int) -> Response {
      error(429, "Too Many Requests: retry after \(seconds)", #","parameters":{"retry_after":\#(seconds)}"#)
    }

    private static func error(_ code: Int, _ text: String, _ more: String = "") -> Response {
      response(code, #"{"ok":false,"error_code":\#(code),"description":\#(json(text))\#(more)}"#)
    }

    private static func response(_ status: Int, _ text: String) -> Response {
      let content = ByteBuffer()
      content.append(utf8: text)
      return Response(status: status, fields: [], contentType: "application/json", body: content)
    }
  }

  public let port: UInt16
  private let loop: EventLoop
  private let server: HTTPServer
  private let memory: Memory

  public static func with<Result>(_ body: (TelegramServer) async throws -> Result) async throws -> Result {
    let server = try await TelegramServer()
    do {
      let result = try await body(server)
      await server.close()
      return result
    } catch {
      await server.close()
      throw error
    }
  }

  private init() async throws {
    let loop = try EventLoop(name: "telegram")
    let listener = try Listener(host: "127.0.0.1", port: 0, count: 1, backlog: 128)
    let memory = Memory(on: loop)
    server = try await loop.run { () throws in
      try HTTPServer(on: loop, listening: listener.descriptors[0], limits: HTTPLimits(), responder: memory)
    }
    (self.loop, self.memory, port) = (loop, memory, listener.port)
  }

  private func close() async {
    await loop.run { [server] in await server.shutDown(timeoutMilliseconds: 100) }
    loop.stop()
  }

  public var url: String { "http://127.0.0.1:\(port)" }

  // MARK: What users do

  /// A user writes to the bot: in the private chat, whose id is the user's, or in a group.
  public func write(_ text: String, from user: Int, inGroup group: Int? = nil) {
    let chat: [String: Any] = ["id": group ?? user, "type": group == nil ? "private" : "supergroup"]
    add([
      "message": [
        "message_id": 1, "date": 1, "text": text, "chat": chat, "from": ["id": user, "is_bot": false],
      ]
    ])
  }

  /// A user presses a button below a message.
  public func press(_ data: String, on message: Message, by user: Int? = nil) {
    add([
      "callback_query": [
        "id": UUID().uuidString, "data": data, "from": ["id": user ?? message.chat, "is_bot": false],
        "message": ["message_id": message.id, "chat": ["id": message.chat, "type": "private"]],
      ]
    ])
  }

  private func add(_ content: [String: Any]) {
    let data = (try? JSONSerialization.data(withJSONObject: content)) ?? Data()
    memory.with { state in
      let id = state.nextUpdate
      state.nextUpdate += 1
      var json = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any] ?? [:]
      json["update_id"] = id
      state.updates.append((id, json))
    }
  }

  /// A user blocks the bot.
  public func block(_ user: Int) { memory.with { _ = $0.blocked.insert(user) } }

  // MARK: What Telegram does

  /// The next message is refused with 429, and each one until the time has passed.
  public func refuseMessages(retryAfterSeconds: Int) {
    memory.with { $0.retryAfterSeconds = retryAfterSeconds }
  }

  /// The next messages get no answer of the Bot API.
  public func failMessages(_ count: Int) { memory.with { $0.failures = count } }

  /// Until it is called with false, messages get no answer.
  public func holdMessages(_ isHolding: Bool) {
    memory.with { state in
      state.isHolding = isHolding
      state.held = 0
    }
  }

  /// Another program polls all the time.
  public func conflict(_ isConflicting: Bool) { memory.with { $0.isConflicting = isConflicting } }

  // MARK: What became of it

  /// Messages in a chat, oldest first.
  public func messages(in chat: Int) -> [Message] { memory.with { $0.messages.filter { $0.chat == chat } } }

  /// Polls that ended another one.
  public var conflicts: Int { memory.with { $0.conflicts } }
  /// Messages that were refused with 429, and those that were sent before the time had passed.
  public var refusals: (all: Int, early: Int) { memory.with { ($0.refusals, $0.early) } }
  public var answeredPresses: Int { memory.with { $0.answeredPresses } }
  /// Messages that get no answer.
  public var heldMessages: Int { memory.with { $0.held } }
  /// Edits that changed nothing, which are refused.
  public var unchangedEdits: Int { memory.with { $0.unchanged } }
  /// Updates that no poller has passed.
  public var waitingUpdates: Int { memory.with { $0.updates.count } }
  public var polls: Int { memory.with { $0.poll } }
}
