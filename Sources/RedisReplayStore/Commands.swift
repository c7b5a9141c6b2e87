internal import CHiredis
internal import EventLoop

/// A command's arguments, which may hold any bytes.
struct RedisCommand {
  /// The concatenated arguments.
  private var bytes: [UInt8] = []
  private var lengths: [Int] = []

  init(_ arguments: String...) {
    lengths.reserveCapacity(arguments.count)
    for argument in arguments {
      bytes.append(contentsOf: argument.utf8)
      lengths.append(argument.utf8.count)
    }
  }

  /// Calls `body` with the arguments of `redisAsyncCommandArgv`.
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

/// The answer to one command.
enum RedisAnswer: Hashable {
  /// A status or a string.
  case text(String)
  /// The key does not exist, or the condition of the command was not met.
  case none
  /// An error: its first word, and the whole message.
  case refused(code: String, message: String)
  /// A number or a list, which no command here returns.
  case other

  /// Error messages are truncated to this number of bytes.
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

  /// The error to report for an unexpected answer.
  var failure: RedisFailure {
    switch self {
    case .refused(_, let message): RedisFailure("Redis refused: \(message)")
    case .text, .none, .other: RedisFailure("unexpected answer from Redis")
    }
  }

  static let ok = RedisAnswer.text("OK")
}

/// Commands that are sent together, and their answers in the same order.
struct RedisExchange {
  let answersExpected: Int
  let deadlineMilliseconds: Int64
  var answers: [RedisAnswer] = []
  /// Called exactly once, on the loop, with one answer for each command.
  let complete: (Result<[RedisAnswer], RedisFailure>) -> Void
}

/// The unanswered exchanges of one connection, oldest first.
struct RedisPipeline {
  private var exchanges = Queue<RedisExchange>()

  var count: Int { exchanges.count }

  /// The deadline of the oldest exchange; nil if there is none.
  var deadlineMilliseconds: Int64? { exchanges.first?.deadlineMilliseconds }

  mutating func append(_ exchange: RedisExchange) { exchanges.append(exchange) }

  /// Adds an answer, and returns the exchange that it completes, if any.
  mutating func receive(_ answer: RedisAnswer) -> RedisExchange? {
    precondition(count > 0, "an answer to nothing")
    exchanges.first!.answers.append(answer)
    let oldest = exchanges.first!
    return oldest.answers.count == oldest.answersExpected ? exchanges.removeFirst() : nil
  }

  /// Removes and returns all incomplete exchanges, oldest first.
  mutating func removeAll() -> [RedisExchange] { exchanges.removeAll() }
}
