internal import CHiredis
internal import EventLoop

/// A command's arguments, which may hold any bytes.
struct RedisCommand {
  /// All arguments, one after the other.
  private var bytes: [UInt8] = []
  private var lengths: [Int] = []

  init(_ arguments: String...) {
    lengths.reserveCapacity(arguments.count)
    for argument in arguments {
      bytes.append(contentsOf: argument.utf8)
      lengths.append(argument.utf8.count)
    }
  }

  /// Lends what `redisAsyncCommandArgv` takes.
  func withArguments<Result>(
    _ body: (Int32, UnsafeMutablePointer<UnsafePointer<CChar>?>, UnsafePointer<Int>) -> Result
  ) -> Result {
    bytes.withUnsafeBufferPointer { bytes in
      bytes.withMemoryRebound(to: CChar.self) { bytes in
        var start = 0
        var pointers = lengths.map { length in
          defer { start += length }
          return bytes.baseAddress.map { $0 + start }
        }
        return pointers.withUnsafeMutableBufferPointer { pointers in
          lengths.withUnsafeBufferPointer { lengths in
            body(Int32(lengths.count), pointers.baseAddress!, lengths.baseAddress!)
          }
        }
      }
    }
  }
}

/// What Redis answered to one command.
enum RedisAnswer: Hashable {
  /// A status or a string.
  case text(String)
  /// There is no such key, or the condition of a command was not met.
  case none
  /// An error: its first word, and all of it.
  case refused(code: String, message: String)
  /// A number or a list, which no command here asks for.
  case other

  /// Bytes of an error that are kept.
  static let maximumMessageLength = 200

  /// Copies the reply, which hiredis frees.
  init(_ reply: redisReply) {
    func text(_ limit: Int = .max) -> String {
      let bytes = UnsafeRawBufferPointer(start: reply.str, count: min(reply.len, limit))
      return String(decoding: bytes, as: UTF8.self)
    }
    switch reply.type {
    case REDIS_REPLY_STATUS, REDIS_REPLY_STRING: self = .text(text())
    case REDIS_REPLY_NIL: self = .none
    case REDIS_REPLY_ERROR:
      let message = text(Self.maximumMessageLength)
      self = .refused(code: String(message.prefix { $0 != " " }), message: message)
    default: self = .other
    }
  }

  /// What is wrong with an answer that was not expected.
  var failure: RedisFailure {
    switch self {
    case .refused(_, let message): RedisFailure("Redis refused: \(message)")
    case .text, .none, .other: RedisFailure("Redis gave an answer that does not fit the command")
    }
  }

  static let ok = RedisAnswer.text("OK")
}

/// Commands that are sent together, and the answers, which come in the same order.
struct RedisExchange {
  let answersExpected: Int
  let deadlineMilliseconds: Int64
  var answers: [RedisAnswer] = []
  /// Called exactly once, on the loop; with as many answers as there were commands.
  let complete: (Result<[RedisAnswer], RedisFailure>) -> Void
}

/// What was sent on one connection and is not yet answered, oldest first.
struct RedisPipeline {
  private var exchanges = Queue<RedisExchange>()

  var count: Int { exchanges.count }

  /// When the oldest must be answered; nil if there is none.
  var deadlineMilliseconds: Int64? { exchanges.first?.deadlineMilliseconds }

  mutating func append(_ exchange: RedisExchange) { exchanges.append(exchange) }

  /// Takes an answer, and returns the exchange that it completes, if there is one.
  mutating func receive(_ answer: RedisAnswer) -> RedisExchange? {
    precondition(count > 0, "an answer to nothing")
    exchanges.first!.answers.append(answer)
    let oldest = exchanges.first!
    return oldest.answers.count == oldest.answersExpected ? exchanges.removeFirst() : nil
  }

  /// Empties the pipeline, and returns what was not complete, oldest first.
  mutating func removeAll() -> [RedisExchange] { exchanges.removeAll() }
}
