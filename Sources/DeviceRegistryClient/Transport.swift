internal import Foundation
internal import FoundationNetworking
internal import Synchronization

/// HTTP exchanges with limits on time and size. Follows no redirects, and keeps no cookies, caches and credentials.
final class Transport: Sendable {
  private let origin: Origin
  private let session: URLSession
  private let exchanges = Exchanges()

  init(origin: Origin) {
    self.origin = origin
    let configuration = URLSessionConfiguration.ephemeral
    configuration.urlCache = nil
    configuration.httpCookieStorage = nil
    configuration.httpShouldSetCookies = false
    configuration.urlCredentialStorage = nil
    session = URLSession(configuration: configuration, delegate: exchanges, delegateQueue: nil)
  }

  /// The session keeps its delegate until it is invalidated.
  deinit { session.finishTasksAndInvalidate() }

  /// Sends a request with these fields and returns any answer. Throws `unreachable`, `untrusted`, `timedOut`,
  /// `answerTooLarge` and `cancelled`.
  func exchange(_ call: Call, fields: [(name: String, value: String)]) async throws(RegistryClientError)
    -> Answer
  {
    guard !Task.isCancelled else { throw .cancelled }
    var request = URLRequest(url: try origin.url(call.target))
    request.httpMethod = call.method
    request.httpBody = call.body
    // URLSession's own limit restarts with every byte; `run` enforces the real one.
    request.timeoutInterval = 2 * call.timeoutSeconds
    // The signature covers the body before any coding.
    request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
    if call.body != nil { request.setValue("application/json", forHTTPHeaderField: "Content-Type") }
    for field in fields { request.setValue(field.value, forHTTPHeaderField: field.name) }

    let task = session.dataTask(with: request)
    return try await withTaskCancellationHandler {
      await exchanges.run(task, call)
    } onCancel: {
      exchanges.abandon(task, because: .cancelled)
    }.get()
  }
}

/// The exchanges in progress, and the received part of each.
///
/// `@unchecked Sendable`: a mutex guards all its state; the superclass, which a delegate needs, has none.
private final class Exchanges: NSObject, URLSessionDataDelegate, @unchecked Sendable {
  typealias Outcome = Result<Answer, RegistryClientError>

  private struct Exchange {
    let continuation: CheckedContinuation<Outcome, Never>
    let deadline: Task<Void, Never>
    let timeoutSeconds: Double
    let maximumAnswerBytes: Int
    var body = Data()
    /// Why we cancelled it.
    var reason: RegistryClientError?
  }

  private let underWay = Mutex<[Int: Exchange]>([:])

  /// Starts the task and waits for its end, at most until the call's deadline.
  func run(_ task: URLSessionDataTask, _ call: Call) async -> Outcome {
    await withCheckedContinuation { continuation in
      underWay.withLock { exchanges in
        let deadline = Task {
          guard (try? await Task.sleep(for: .seconds(call.timeoutSeconds))) != nil else { return }
          abandon(task, because: .timedOut(seconds: call.timeoutSeconds))
        }
        exchanges[task.taskIdentifier] = Exchange(
          continuation: continuation, deadline: deadline, timeoutSeconds: call.timeoutSeconds,
          maximumAnswerBytes: call.maximumAnswerBytes)
      }
      task.resume()
      // Cancelled before there was anything to abandon.
      if Task.isCancelled { abandon(task, because: .cancelled) }
    }
  }

  /// Cancels an exchange; the first reason counts.
  func abandon(_ task: URLSessionDataTask, because reason: RegistryClientError) {
    let isUnderWay = underWay.withLock { exchanges in
      guard exchanges[task.taskIdentifier] != nil else { return false }
      if exchanges[task.taskIdentifier]?.reason == nil { exchanges[task.taskIdentifier]?.reason = reason }
      return true
    }
    if isUnderWay { task.cancel() }
  }

  func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
    let limit: Int? = underWay.withLock { exchanges in
      guard let exchange = exchanges[dataTask.taskIdentifier] else { return nil }
      guard exchange.body.count + data.count <= exchange.maximumAnswerBytes else {
        return exchange.maximumAnswerBytes
      }
      exchanges[dataTask.taskIdentifier]?.body.append(data)
      return nil
    }
    if let limit { abandon(dataTask, because: .answerTooLarge(limitBytes: limit)) }
  }

  func urlSession(
    _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
    newRequest request: URLRequest, completionHandler: @escaping (URLRequest?) -> Void
  ) {
    completionHandler(nil)
  }

  func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
    guard let exchange = underWay.withLock({ $0.removeValue(forKey: task.taskIdentifier) }) else { return }
    exchange.deadline.cancel()
    exchange.continuation.resume(returning: outcome(of: exchange, task.response, error))
  }

  private func outcome(of exchange: Exchange, _ response: URLResponse?, _ error: (any Error)?) -> Outcome {
    if let reason = exchange.reason { return .failure(reason) }
    if let error { return .failure(Self.failure(error, of: exchange)) }
    guard let response = response as? HTTPURLResponse else {
      return .failure(.unreachable("no answer in HTTP"))
    }
    var fields: [String: String] = [:]
    for (name, value) in response.allHeaderFields {
      guard let name = name as? String, let value = value as? String else { continue }
      fields[name.lowercased()] = value
    }
    return .success(Answer(status: response.statusCode, fields: fields, body: exchange.body))
  }

  private static func failure(_ error: any Error, of exchange: Exchange) -> RegistryClientError {
    guard let error = error as? URLError else { return .unreachable("\(error)") }
    switch error.code {
    case .timedOut: return .timedOut(seconds: exchange.timeoutSeconds)
    case .serverCertificateUntrusted, .serverCertificateHasBadDate, .serverCertificateHasUnknownRoot,
      .serverCertificateNotYetValid, .clientCertificateRejected, .clientCertificateRequired,
      .secureConnectionFailed:
      return .untrusted(error.localizedDescription)
    // On Linux, TLS failures have no separate code, neither bad certificates nor broken connections.
    case .unknown:
      return .unreachable(
        "\(error.localizedDescription); check the URL and, with https, the server's certificate")
    default: return .unreachable("\(error.localizedDescription); try again")
    }
  }
}
