internal import Encoding
public import Foundation

// Where a device runs.

/// The instance of a program that has the lease on a device.
public struct Instance: Decodable, Hashable, Sendable {
  /// The name that the program drew when it started.
  public let id: String
  /// When it took the lease.
  public let since: Date
  /// When it last polled, which renews the lease.
  public let lastPoll: Date

  enum CodingKeys: String, CodingKey {
    case id, since
    case lastPoll = "last_poll"
  }
}

/// A broker's account.
public struct TradingAccount: Codable, Hashable, Sendable {
  /// Its number, as text.
  public let login: String
  /// The broker's name of its server.
  public let server: String

  public init(login: String, server: String) {
    self.login = login
    self.server = server
  }
}

/// What a device says of where it runs. Each text has at most 128 characters.
public struct DeviceContext: Codable, Hashable, Sendable {
  public let account: Account
  public let terminal: Terminal?
  public let program: Program?

  public init(account: Account, terminal: Terminal? = nil, program: Program? = nil) {
    self.account = account
    self.terminal = terminal
    self.program = program
  }

  public struct Account: Codable, Hashable, Sendable {
    /// Its number, as text.
    public let login: String
    /// The broker's name of its server.
    public let server: String
    public let mode: Mode

    public init(login: String, server: String, mode: Mode) {
      self.login = login
      self.server = server
      self.mode = mode
    }

    public enum Mode: String, Codable, Hashable, Sendable, CaseIterable {
      case demo, contest, real
    }
  }

  /// The trading platform.
  public struct Terminal: Codable, Hashable, Sendable {
    public let name: String
    public let build: String

    public init(name: String, build: String) {
      self.name = name
      self.build = build
    }
  }

  /// The program that trades.
  public struct Program: Codable, Hashable, Sendable {
    public let name: String
    public let version: String
    /// Of its chart.
    public let symbol: String?
    /// The magic number of its orders, as text.
    public let magic: String?

    public init(name: String, version: String, symbol: String? = nil, magic: String? = nil) {
      self.name = name
      self.version = version
      self.symbol = symbol
      self.magic = magic
    }
  }
}

extension DeviceClient {
  /// A name for this run of a program: 128 random bits, 22 characters of `A-Z a-z 0-9 - _`.
  public static func newInstance() -> String {
    var generator = SystemRandomNumberGenerator()
    return Base64URL.encode((0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
  }

  /// Says where the device runs, for its owner: at the start and when it changes. If the owner bound the device to an
  /// account, polls from any other throw a `problem` of kind `account-not-bound`.
  public func setContext(_ context: DeviceContext) async throws(RegistryClientError) {
    _ = try await exchange.perform(
      Call(method: "PUT", target: "/api/v1/device/context", body: try .json(context, "context")))
  }

  /// Gives up the lease of the client's instance, so that another one needs no takeover. Throws `invalidArgument` if the
  /// client has no instance.
  public func release() async throws(RegistryClientError) {
    guard let instance else { throw .invalidArgument(name: "instance", message: "is missing") }
    _ = try await exchange.perform(
      Call(
        method: "POST", target: "/api/v1/device/release", body: try .json(["instance": instance], "instance")))
  }
}
