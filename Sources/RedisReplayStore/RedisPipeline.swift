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
  private var exchanges: [RedisExchange] = []
  private var head = 0

  var count: Int { exchanges.count - head }

  /// When the oldest must be answered; nil if there is none.
  var deadlineMilliseconds: Int64? { count > 0 ? exchanges[head].deadlineMilliseconds : nil }

  mutating func append(_ exchange: RedisExchange) { exchanges.append(exchange) }

  /// Takes an answer, and answers the exchange that is complete with it, if one is.
  mutating func receive(_ answer: RedisAnswer) -> RedisExchange? {
    precondition(count > 0, "an answer to nothing")
    exchanges[head].answers.append(answer)
    guard exchanges[head].answers.count == exchanges[head].answersExpected else { return nil }
    defer {
      head += 1
      // What was answered is dropped in one go, when it is half of the array.
      if head * 2 >= exchanges.count {
        exchanges.removeSubrange(..<head)
        head = 0
      }
    }
    return exchanges[head]
  }

  /// Forgets everything, and answers what was not complete, oldest first.
  mutating func removeAll() -> ArraySlice<RedisExchange> {
    defer {
      exchanges = []
      head = 0
    }
    return exchanges[head...]
  }
}
