internal import Encoding

/// A webhook's id.
public typealias WebhookID = Identifier<Webhook>

/// A URL of a client to which the registry posts the client's events.
public struct Webhook: Hashable, Sendable {
  public let id: WebhookID
  public let clientID: ClientID
  public let url: WebhookURL
  /// Which events it gets; nil for all.
  public let types: EventPatterns?
  public let description: WebhookDescription?
  public let createdAt: Timestamp
  /// When its owner last changed it, or the registry disabled it.
  public let updatedAt: Timestamp
  public let progress: DeliveryProgress

  public init(
    id: WebhookID, clientID: ClientID, url: WebhookURL, types: EventPatterns?, description: WebhookDescription?,
    createdAt: Timestamp, updatedAt: Timestamp, progress: DeliveryProgress
  ) {
    self.id = id
    self.clientID = clientID
    self.url = url
    self.types = types
    self.description = description
    self.createdAt = createdAt
    self.updatedAt = updatedAt
    self.progress = progress
  }

  /// Webhooks of a client.
  public static let maximumPerClient = 20

  /// The place of its sealed secret.
  public static func secretPlace(_ id: WebhookID) -> SealedPlace {
    SealedPlace(table: "webhooks", column: "secret", id: id.description)
  }

  /// Which events of the feed it gets.
  public var filter: EventFilter { EventFilter(types: types?.types, deviceID: nil) }
}

/// Where a webhook's events are posted. It may hold a secret of the receiver, so no event and no log shows it.
public struct WebhookURL: Hashable, Sendable {
  public let text: String

  public static let maximumLength = 2048

  /// A URL that a store read; it was validated when it was written.
  public init(stored text: String) { self.text = text }

  /// Tests the form of the text, and nothing about its host: whether that is reached, and at a public address, shows
  /// with each connection.
  ///
  /// Throws `invalid` for `url` unless it is `https://HOST[:PORT][/PATH][?QUERY]`, or the same with `http://`, which
  /// `WebhookService` allows only for private receivers.
  public init(_ text: String) throws(RegistryError) {
    func invalid(_ message: String) -> RegistryError { .invalid(field: "url", message: message) }
    guard text.utf8.count <= Self.maximumLength else {
      throw invalid("must have \(Self.maximumLength) characters at most")
    }
    guard text.utf8.allSatisfy(\.isVisible) else {
      throw invalid("must consist of visible ASCII characters; percent-encode all others")
    }
    let scheme = text.prefix { $0 != ":" }.lowercased()
    guard ["https", "http"].contains(scheme), text.dropFirst(scheme.count).hasPrefix("://") else {
      throw Self.notHTTPS
    }
    guard !text.utf8.contains(UInt8(ascii: "#")) else { throw invalid("must have no fragment (#)") }
    guard !text.utf8.contains(UInt8(ascii: "\\")) else { throw invalid("must have no backslash") }
    let authority = text.dropFirst(scheme.count + 3).prefix { $0 != "/" && $0 != "?" }
    guard !authority.contains("@") else {
      throw invalid("must have no user name and password; deliveries are signed instead")
    }
    guard Self.isHostAndPort(authority) else {
      throw invalid("must name a host, and a port from 1 to 65535 if any")
    }
    // The databases know the scheme in lower case.
    self.text = scheme + text.dropFirst(scheme.count)
  }

  /// Throws `invalid` for a URL that begins with `http://`.
  func testHTTPS() throws(RegistryError) { guard text.hasPrefix("https:") else { throw Self.notHTTPS } }

  private static let notHTTPS = RegistryError.invalid(field: "url", message: "must begin with https://")

  private static func isHostAndPort(_ authority: Substring) -> Bool {
    let isLiteral = authority.hasPrefix("[")
    let hostEnd =
      isLiteral ? authority.firstIndex(of: "]").map(authority.index(after:)) : authority.firstIndex(of: ":")
    guard let end = hostEnd ?? (isLiteral ? nil : authority.endIndex) else { return false }
    let (host, port) = (authority[..<end], authority[end...])
    let isHost =
      isLiteral
      ? IPAddress(String(host.dropFirst().dropLast())) != nil
      : !host.isEmpty && host.utf8.allSatisfy { $0.isLetter || $0.isDigit || "-._".utf8.contains($0) }
    guard isHost else { return false }
    return port.isEmpty || port.hasPrefix(":") && DecimalText.read(port.dropFirst(), in: 1...65_535) != nil
  }
}

/// What an owner wrote about a webhook.
public struct WebhookDescription: Hashable, Sendable {
  public let text: String

  /// Unicode scalars.
  public static let maximumLength = 200

  /// A text that a store read; it was validated when it was written.
  public init(stored text: String) { self.text = text }

  /// Throws `invalid` for `description` if the text is too long or has control characters.
  public init(_ text: String) throws(RegistryError) {
    guard text.unicodeScalars.count <= Self.maximumLength else {
      throw .invalid(field: "description", message: "must have \(Self.maximumLength) characters at most")
    }
    guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
      throw .invalid(field: "description", message: "must have no control characters")
    }
    self.text = text
  }
}

/// Which types of events a webhook gets: types, and patterns such as `device.*`.
public struct EventPatterns: Hashable, Sendable {
  public let patterns: [String]

  public static let maximumCount = 64

  /// Nil if there are too few or too many patterns, or if one matches no type.
  public init?(_ patterns: [String]) {
    guard 1...Self.maximumCount ~= patterns.count,
      patterns.allSatisfy({ EventFilter.types(matching: $0) != nil })
    else { return nil }
    self.patterns = patterns
  }

  /// The form that stores keep: a type has no blanks.
  public init(stored text: String) { patterns = text.split(separator: " ").map(String.init) }
  public var text: String { patterns.joined(separator: " ") }

  /// The types that the patterns match in this version. A pattern that another version wrote may match none.
  var types: [String] {
    var found: Set<String> = []
    return patterns.flatMap { EventFilter.types(matching: $0) ?? [] }.filter { found.insert($0).inserted }
  }
}

/// A new webhook with its secret, which nothing shows again.
public struct CreatedWebhook: Sendable {
  public let webhook: Webhook
  public let secret: WebhookSecret
}
