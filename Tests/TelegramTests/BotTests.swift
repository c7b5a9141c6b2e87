import JSON
import Registry
import Synchronization
import Testing

@testable import Telegram

@Suite("The bot's token") struct BotTokenTests {
  private static let secret = "AAsecret-of-the-tests_0123456789abcd"

  @Test func `has the bot's id, and prints as redacted`() throws {
    let token = try #require(BotToken("7000000001:\(Self.secret)"))
    #expect(token.botID == 7_000_000_001)
    #expect("\(token)" == "<redacted>" && String(reflecting: token) == "<redacted>")
    #expect(token.path(of: "getMe") == "/bot7000000001:\(Self.secret)/getMe")
    let settings = BotSettings(token: token, origin: "http://127.0.0.1", certificateFile: nil)
    var dumped = ""
    dump(settings, to: &dumped)
    #expect(!dumped.contains(Self.secret) && !"\(settings)".contains(Self.secret))
  }

  @Test func `is removed from what a server repeats`() throws {
    let token = try #require(BotToken("1:\(Self.secret)"))
    #expect(
      token.removed(from: "no /bot1:\(Self.secret)/x, 1:\(Self.secret)") == "no /bot<redacted>/x, <redacted>")
    #expect(token.removed(from: "") == "")
  }

  @Test(arguments: [
    "", ":", "1:", "0:\(secret)", "a:\(secret)", "1:short", "1:\(secret)/x", "1:\(secret):x", " 1:\(secret)",
    "1:\(secret)\n", "99999999999999999999:\(secret)",
  ])
  func `is nothing else`(_ text: String) { #expect(BotToken(text) == nil) }
}

@Suite("Updates") struct BotUpdateTests {
  private func update(_ json: String) throws -> BotUpdate? { BotUpdate(try ParsedJSON(Array(json.utf8))) }

  @Test func `are messages and presses in private chats`() throws {
    let message =
      #"{"update_id":5,"message":{"text":"/help","chat":{"id":1,"type":"private"},"from":{"id":2}}}"#
    #expect(try update(message)?.content == .message(TelegramChat(id: 1, userID: 2), text: "/help"))
    let press = """
      {"update_id":6,"callback_query":{"id":"7","data":"list","from":{"id":2},
      "message":{"message_id":8,"chat":{"id":1,"type":"private"}}}}
      """
    #expect(
      try update(press)?.content
        == .press(id: "7", TelegramChat(id: 1, userID: 2), messageID: 8, data: "list"))
  }

  @Test(arguments: [
    #"{"update_id":5}"#, #"{"update_id":5,"message":7}"#, #"{"update_id":5,"message":{"text":"x"}}"#,
    #"{"update_id":5,"message":{"text":"x","chat":{"id":-1,"type":"group"},"from":{"id":2}}}"#,
    #"{"update_id":5,"message":{"text":"x","chat":{"id":1,"type":"private"}}}"#,
    #"{"update_id":5,"callback_query":{"id":"7","data":"list","from":{"id":2}}}"#,
  ])
  func `of other forms are passed over`(_ json: String) throws {
    #expect(try update(json)?.id == 5 && update(json)?.content == .other)
  }

  @Test func `are found in an answer that is no JSON`() {
    let text = #"{"ok":true,"result":[{"update_id": 5,"message":{"text":"\"update_id\":7 \u0000"#
    #expect(BotUpdate.firstID(in: Array(text.utf8)) == 5)
    for text in ["", #""update_id":"#, #""update_id":x"#, #""update_id":99999999999999999999"#] {
      #expect(BotUpdate.firstID(in: Array(text.utf8)) == nil)
    }
  }

  @Test func `have an id`() throws { #expect(try update("[]") == nil && update("{}") == nil) }
}

@Suite("What the bot shows") struct BotMessageTests {
  @Test func `Names are escaped and isolated, and shortened on buttons`() {
    #expect(Foreign.html("<b>&amp;\"") == "\u{2068}<code>&lt;b&gt;&amp;amp;\"</code>\u{2069}")
    #expect(Foreign.label(String(repeating: "x", count: 41)) == String(repeating: "x", count: 39) + "…")
  }

  @Test func `Every button fits, and is read again`() {
    let id = DeviceID(high: .max, low: .max)
    let cursor = DeviceCursor(createdAt: Timestamp(millisecondsSince1970: 253_402_300_799_999), id: id)
    let presses: [Press] = [
      .devices(after: nil), .devices(after: cursor), .device(id), .change(.closeOnly, id),
      .yes(question: "0123456789abcdef"), .no(question: "0123456789abcdef"),
    ]
    for press in presses {
      #expect(press.data.utf8.count <= 64)
      #expect(Press(press.data) == press)
    }
    for data in ["", ":", "list:1", "list:x:\(id)", "show:x", "halt:\(id)", "yes", "yes:1:2"] {
      #expect(Press(data) == nil, "\(data)")
    }
  }

  @Test func `Times of a silence have a unit and a bound`() {
    #expect(Conversations.duration("30m") == 1_800_000 && Conversations.duration("2d") == 172_800_000)
    #expect(Conversations.duration("30d") == Conversations.maximumMuteMilliseconds)
    for text in ["", "8", "h", "0h", "-1h", "31d", "8 h", "999999999999999999d", "1.5h"] {
      #expect(Conversations.duration(text) == nil, "\(text)")
    }
  }

  @Test func `A chat's updates are bounded in a minute`() {
    var (limits, now) = (ChatLimits(), Timestamp(millisecondsSince1970: 1_764_000_000_000))
    func allows(_ chat: Int64) -> Bool { limits.allows(chat, at: now) }
    for _ in 0..<ChatLimits.maximumUpdates { #expect(allows(1)) }
    #expect(!allows(1) && allows(2))
    now = now + ChatLimits.windowMilliseconds
    #expect(allows(1))
    for chat in 0..<Int64(ChatLimits.maximumChats) { _ = allows(chat) }
    #expect(!allows(-1))
  }
}

@Suite("Answers of the Bot API") struct BotAnswerTests {
  private func failure(_ status: Int, _ content: String) throws -> BotFailure? {
    let token = try #require(BotToken("7000000001:AAsecret-of-the-tests_0123456789abcd"))
    do throws(BotFailure) {
      _ = try BotAPI.result(status: status, Array(content.utf8), token)
      return nil
    } catch {
      return error
    }
  }

  @Test func `say that a user blocked the bot`() throws {
    let blocked = #"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#
    #expect(try failure(403, blocked) == .blocked)
  }

  @Test(arguments: [
    "", "{}", #"{"message":"forbidden"}"#, #"{"error_code":403}"#, #"{"ok":false}"#,
    #"{"ok":true,"error_code":403}"#,
  ])
  func `are not those of a proxy, which unlinks no chat`(_ content: String) throws {
    guard case .unanswered = try failure(403, content) else {
      Issue.record("\(content)")
      return
    }
  }
}

@Suite("Open questions") struct QuestionTests {
  private struct Zeroes: RandomSource {
    func fill(_ bytes: UnsafeMutableRawBufferPointer) { bytes.initializeMemory(as: UInt8.self, repeating: 0) }
  }

  private static let noon = Timestamp(millisecondsSince1970: 1_764_000_000_000)

  private func link(_ number: UInt64) throws -> TelegramLink {
    TelegramLink(
      id: TelegramLinkID(high: 0, low: number), clientID: try #require(ClientID("alice")),
      chat: TelegramChat(id: 1, userID: 1), createdAt: Self.noon, mutedUntil: nil, position: .start)
  }

  @Test func `belong to a link, and stay open until they are closed or expire`() throws {
    var questions = Questions(random: Zeroes())
    let (link, other) = (try link(1), try link(2))
    let asked = questions.ask(.halted, .all, matched: 3, of: link, at: Self.noon)
    let id = try #require(asked)
    #expect(questions.question(id, of: link, at: Self.noon)?.matched == 3)
    #expect(questions.question(id, of: other, at: Self.noon) == nil)
    let end = Self.noon + Questions.lifetimeMilliseconds
    #expect(questions.question(id, of: link, at: end) == nil)
    // It was confirmed, and the database did not answer.
    questions.keep(id, in: 1, at: end + -1)
    #expect(questions.question(id, of: link, at: end) != nil)
    questions.close("another", in: 1)
    #expect(questions.question(id, of: link, at: end) != nil)
    questions.close(id, in: 1)
    #expect(questions.question(id, of: link, at: end) == nil)
  }
}

@Suite("Failures of the store") struct StoreFailureTests {
  @Test func `are reported once for each cause, until everything that failed is done`() throws {
    let reports = Mutex<[BotReport]>([])
    let failures = StoreFailures { report in reports.withLock { $0.append(report) } }
    let alice = StoreFailures.Work.chats(try #require(ClientID("alice")))
    let (away, slow) = (RegistryError.unavailable(cause: "away"), RegistryError.unavailable(cause: "slow"))
    for _ in 1...100 {
      failures.failed(.updates, away)
      failures.failed(alice, away)
      failures.failed(alice, slow)
      failures.done(.links)
      failures.done(.updates)
    }
    #expect(reports.withLock { $0 } == [.storeFailed(away), .storeFailed(slow)])
    failures.done(alice)
    failures.failed(alice, away)
    #expect(reports.withLock { $0.count } == 3)
  }
}
