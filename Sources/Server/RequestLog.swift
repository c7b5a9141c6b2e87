internal import API
internal import Encoding
internal import EventLoop
internal import HTTP
internal import Observability
internal import Registry

/// Logs a line for each request:
///
/// - a 5xx is an error, with its cause, unless an interruption explains it;
/// - a 4xx is information, and so is every request of an owner or an administrator;
/// - a call of a device or a probe that succeeded is for debugging: ten thousand devices that poll each second would fill a
///   disk.
///
/// Strangers and outages can cause any number of 4xx and 5xx, so their lines in a second are bounded. The metrics count all.
final class RequestLog: Sendable {
  /// Lines per second, for 4xx and for 5xx each: at most about 3 GB a day.
  static let refusalsPerSecond = 100

  private let logger: Logger
  private let interruptions: Interruptions
  private let refusals = LineBudget(linesPerSecond: refusalsPerSecond)
  private let failures = LineBudget(linesPerSecond: refusalsPerSecond)

  init(_ logger: Logger, _ interruptions: Interruptions) {
    (self.logger, self.interruptions) = (logger, interruptions)
  }

  func log(_ request: AnsweredRequest) {
    let level = Self.level(of: request)
    guard level >= logger.level, !interruptions.explains(request), isAdmitted(request) else { return }
    logger.log(level, "request") { line in
      line.add("request_id", request.requestID)
      line.add("route", request.route)
      line.add("method", request.method)
      line.add("status", request.status)
      line.add("duration_ms", thousandths: request.durationNanoseconds / 1000)
      switch request.caller {
      case .client(let id): line.add("client_id", id.description)
      case .device(let id): line.add("device_id", id.description)
      case nil: break
      }
      if let address = request.address { line.add("address", address.description) }
      if let traceID = request.traceID { line.add("trace_id", traceID.description) }
      if let problem = request.problem { line.add("problem", problem) }
      if let cause = request.cause { line.add("cause", cause) }
    }
  }

  static func level(of request: AnsweredRequest) -> Logger.Level {
    switch request.status {
    case 500...: .error
    case 400..<500: .info
    default: request.isRoutine ? .debug : .info
    }
  }

  /// Lines that were dropped because of the bound.
  var omittedLines: Int { refusals.omittedLines + failures.omittedLines }

  private func isAdmitted(_ request: AnsweredRequest) -> Bool {
    guard request.status >= 400 else { return true }
    let budget = request.status >= 500 ? failures : refusals
    let (isAdmitted, omitted) = budget.admit(atSecond: MonotonicClock.milliseconds / 1000)
    if omitted > 0 { logger.log(.warning, "requests not logged") { $0.add("count", omitted) } }
    return isAdmitted
  }
}
