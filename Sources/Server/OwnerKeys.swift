internal import EventLoop
internal import Glibc
internal import HTTPClient
internal import JSONWebToken
internal import Observability

/// Downloads the keys that verify owners' tokens, and refreshes them on a loop.
struct OwnerKeys: Service {
  let keys: RemoteJWKSet
  private let client: WebClient
  private let loop: EventLoop

  /// Fetches the keys for the first time. `run` retries after a failure.
  init(url: String, maximumAgeHours: Int, on loop: EventLoop, logger: Logger) async throws {
    self.loop = loop
    let client = try await loop.run { () throws(FetchError) in try WebClient(on: loop) }
    self.client = client
    var request = WebClient.Request(url: url)
    request.certificateFile = getenv("SSL_CERT_FILE").map { String(cString: $0) }
    keys = RemoteJWKSet(
      on: loop, maximumAgeHours: maximumAgeHours, monotonicMilliseconds: { MonotonicClock.milliseconds },
      report: { logger.log($0) }
    ) { [request] () async throws(JWKSetError) in try await client.keySet(request) }
    await keys.refreshIfDue()
  }

  func run() async {
    await withTaskGroup { group in
      group.addTask { await keys.run { await loop.sleep(milliseconds: $0) } }
      // This ends a fetch that is in progress.
      group.addTask {
        await untilCancelled()
        await client.close()
      }
    }
  }
}

extension WebClient {
  /// Fetches a JWK set. `JWKSet.maximumLength` replaces the request's bound.
  func keySet(_ request: Request) async throws(JWKSetError) -> FetchedKeySet {
    var request = request
    request.maximumBodyLength = JWKSet.maximumLength
    let answer: Answer
    do throws(FetchError) {
      answer = try await fetch(request)
    } catch .notHTTPS {
      throw .notHTTPS
    } catch .tooLarge {
      throw .tooLarge
    } catch {
      throw .notFetched(reason: error.description)
    }
    return try FetchedKeySet(
      status: answer.status, body: answer.body, cacheControl: answer.values(of: "Cache-Control"),
      ageSeconds: answer.values(of: "Age").first.flatMap { Int($0) },
      expiresInSeconds: answer.secondsUntilExpiry)
  }
}

extension Logger {
  fileprivate func log(_ event: KeySetEvent) {
    switch event {
    case .fetched(let keys, let refusals, let lifetime):
      log(.info, "jwks fetched", ["keys": String(keys), "lifetime_seconds": String(lifetime)])
      for refusal in refusals { log(.warning, "jwk refused", ["cause": refusal]) }
    case .failed(let error): log(.warning, "jwks not fetched", ["cause": error.description])
    case .ended:
      log(
        .error, "jwks ended",
        ["cause": "the keys are older than \(Setting.jwksMaxAgeHours.rawValue), and no later fetch succeeded"])
    }
  }
}
