import DeviceRegistryClient
import Foundation
import Glibc

/// The program that `device-registry events` and `device-registry webhooks` start.
enum OwnerProgram {
  /// Runs an action and returns the exit status: 0 for success, 1 for a failure, 2 for a wrong argument. Prints results
  /// to standard output and errors to standard error.
  static func run(_ arguments: [String]) async -> Int32 {
    guard arguments.count >= placeCount else {
      Terminal.say("use device-registry events or device-registry webhooks, which start this program")
      return 2
    }
    let (place, rest) = (Array(arguments[1..<placeCount]), Array(arguments[placeCount...]))
    do {
      let owner = try OwnerClient(
        url: place[0], tokenFile: place[3], allowsInsecureHTTP: place[1] == "insecure",
        caFile: unlessEmpty(place[2]))
      try await perform(arguments[0], rest, owner)
      return 0
    } catch let error as RegistryClientError {
      Terminal.say(error.description)
      switch error {
      case .invalidURL, .invalidArgument, .secretFile: return 2
      default: return 1
      }
    } catch {
      Terminal.say("\(error)")
      return 1
    }
  }

  /// Action, URL, whether plain HTTP is allowed, file of the certificates to trust or nothing, file of the token.
  private static let placeCount = 5

  private static func perform(_ action: String, _ words: [String], _ owner: OwnerClient) async throws {
    switch (action, words.count) {
    case ("follow", 6):
      try await EventFollower(
        owner: owner, startsAtOldest: words[0] == "start", cursor: unlessEmpty(words[1]),
        cursorFile: unlessEmpty(words[2]).map(CursorFile.init), types: list(words[3]),
        deviceID: unlessEmpty(words[4]), printsJSON: words[5] == "json"
      ).run()
    case ("list", 0):
      for webhook in try await owner.listWebhooks() {
        let types = webhook.types?.joined(separator: ",") ?? "*"
        try Terminal.printFields([webhook.id, webhook.status.rawValue, webhook.url, types])
      }
    case ("create", 4):
      try await create(
        receiver: words[0], secretFile: words[1], types: list(words[2]), description: unlessEmpty(words[3]),
        owner)
    case ("show", 1): try Terminal.print(await owner.webhookJSON(words[0]))
    case ("enable", 1): try Terminal.print(await owner.enableWebhookJSON(words[0]))
    case ("delete", 1):
      try await owner.deleteWebhook(words[0])
      try Terminal.printFields(["deleted \(words[0])"])
    case ("test", 1):
      let (delivery, json) = try await owner.testWebhookJSON(words[0])
      try Terminal.print(json)
      guard delivery.isDelivered else { throw Failure("the receiver did not accept the event") }
    default:
      throw RegistryClientError.invalidArgument(
        name: action,
        message: "is unknown; device-registry and device-registry-owner must have the same version")
    }
  }

  /// Stores the secret in a new file, and prints the id.
  private static func create(
    receiver: String, secretFile path: String, types: [String]?, description: String?, _ owner: OwnerClient
  ) async throws {
    // Before the webhook: its secret is shown only once.
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      let cause = errno == EEXIST ? "it exists; name a new file" : String(cString: strerror(errno))
      throw RegistryClientError.invalidArgument(
        name: "--secret-file", message: "\(path) cannot be created: \(cause)")
    }
    defer { close(descriptor) }
    let created: CreatedWebhook
    do {
      created = try await owner.createWebhook(url: receiver, types: types, description: description)
    } catch {
      unlink(path)
      throw error
    }
    guard Terminal.write(Array((created.secret + "\n").utf8), to: descriptor) else {
      throw Failure(
        "cannot write \(path): \(String(cString: strerror(errno))); delete the webhook \(created.webhook.id), whose secret "
          + "is lost, and create another one")
    }
    try Terminal.printFields([created.webhook.id])
  }

  private static func unlessEmpty(_ text: String) -> String? { text.isEmpty ? nil : text }

  private static func list(_ text: String) -> [String]? {
    text.isEmpty ? nil : text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
  }
}

/// A failure with the sentence to print.
struct Failure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// Standard output and standard error.
enum Terminal {
  /// Prints a line with fields, which are separated by tabs. Characters that could control a terminal are removed.
  static func printFields(_ fields: [String]) throws(Failure) {
    try print(
      Data(fields.map(withoutControls).joined(separator: "\t").utf8))
  }

  static func withoutControls(_ text: String) -> String {
    String(text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : Character($0) })
  }

  /// Prints a line. Text in JSON has no control characters except line breaks between its parts, which are removed.
  static func print(_ text: Data) throws(Failure) {
    let line = text.filter { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") } + [UInt8(ascii: "\n")]
    guard write(Array(line), to: STDOUT_FILENO) else {
      throw Failure("cannot write to standard output: \(String(cString: strerror(errno)))")
    }
  }

  /// Writes a line to standard error.
  static func say(_ text: String) { _ = write(Array("device-registry: \(text)\n".utf8), to: STDERR_FILENO) }

  /// False if not all bytes can be written; then `errno` says why.
  static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    bytes.withUnsafeBytes { bytes in
      var written = 0
      while written < bytes.count {
        let count = Glibc.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        written += count
      }
      return true
    }
  }
}
