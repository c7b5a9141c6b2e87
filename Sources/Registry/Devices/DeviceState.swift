/// Whether a device may be used, and if not, why. Its status is derived from this at a time, so no background work
/// decides who gets in.
public struct DeviceState: Hashable, Sendable {
  /// The worst that applies, from `active` to `revoked`.
  public enum Status: String, CaseIterable, Sendable {
    case active, suspended, expired, revoked
  }

  /// A suspension that `resume` or its end lifts.
  public struct Suspension: Hashable, Sendable {
    /// When the device was suspended; nil if hand-written SQL did it.
    public let since: Timestamp?
    /// When the suspension ends; nil for never.
    public let until: Timestamp?

    public init(since: Timestamp?, until: Timestamp?) {
      self.since = since
      self.until = until
    }

    public func isInForce(at time: Timestamp) -> Bool { until.map { time < $0 } ?? true }
  }

  /// Whether the device was revoked. This is final: no operation and no SQL statement reverts it.
  public let isRevoked: Bool
  /// Nil for a device that was not suspended. It may have ended.
  public let suspension: Suspension?
  /// From when on the device may not be used; nil for never.
  public let expiresAt: Timestamp?
  /// Why the device was suspended or revoked, if the owner gave a reason.
  public let reason: String?

  public init(isRevoked: Bool, suspension: Suspension?, expiresAt: Timestamp?, reason: String?) {
    self.isRevoked = isRevoked
    self.suspension = suspension
    self.expiresAt = expiresAt
    self.reason = reason
  }

  /// A state that a store read.
  ///
  /// - Parameter isActive: false for a device that hand-written SQL keeps out.
  public init(
    isActive: Bool, isRevoked: Bool, suspendedAt: Timestamp?, suspendedUntil: Timestamp?, expiresAt: Timestamp?,
    reason: String?
  ) {
    let isSuspended = suspendedAt != nil || (!isActive && !isRevoked)
    self.init(
      isRevoked: isRevoked,
      // What hand-written SQL keeps out has no end.
      suspension: isSuspended
        ? Suspension(
          since: isActive || isRevoked ? suspendedAt : nil, until: isActive || isRevoked ? suspendedUntil : nil)
        : nil,
      expiresAt: expiresAt, reason: reason)
  }

  /// Whether the device is neither revoked nor kept out by hand-written SQL.
  public var isEnabled: Bool { !isRevoked && (suspension.map { $0.since != nil } ?? true) }

  /// The state of a new device.
  public init(expiresAt: Timestamp? = nil) {
    self.init(isRevoked: false, suspension: nil, expiresAt: expiresAt, reason: nil)
  }

  public func status(at time: Timestamp) -> Status {
    if isRevoked { return .revoked }
    if let suspension, suspension.isInForce(at: time) { return .suspended }
    if let expiresAt, expiresAt <= time { return .expired }
    return .active
  }

  /// When the suspension in force ends; nil without one, or without an end.
  public func suspendedUntil(at time: Timestamp) -> Timestamp? {
    status(at: time) == .suspended ? suspension?.until : nil
  }

  /// Why the device has its status; nil where nobody gave a reason.
  public func reason(at time: Timestamp) -> String? {
    switch status(at: time) {
    case .suspended, .revoked: reason
    case .active, .expired: nil
    }
  }
}

/// What authenticated requests of a device may do.
public struct DeviceAccess: Hashable, Sendable {
  /// Why a device may not be used.
  public enum Refusal: Hashable, Sendable {
    case revoked(reason: String?)
    case clientSuspended(reason: String?)
    case suspended(reason: String?, until: Timestamp?)
    case expired(at: Timestamp)
  }

  /// The suspension of the device's client, as a whole.
  public struct ClientSuspension: Hashable, Sendable {
    public let reason: String?

    public init(reason: String?) { self.reason = reason }
  }

  public let state: DeviceState
  /// Nil unless the client is suspended.
  public let clientSuspension: ClientSuspension?
  public let tradingMode: TradingMode

  public init(state: DeviceState, clientSuspension: ClientSuspension?, tradingMode: TradingMode) {
    self.state = state
    self.clientSuspension = clientSuspension
    self.tradingMode = tradingMode
  }

  /// From when on the device may not be used, if nothing changes; nil for never.
  public var endsAt: Timestamp? { state.expiresAt }

  /// Nil if the device may be used at this time.
  public func refusal(at time: Timestamp) -> Refusal? {
    let status = state.status(at: time)
    if let clientSuspension, status != .revoked { return .clientSuspended(reason: clientSuspension.reason) }
    return switch status {
    case .active: nil
    case .suspended: .suspended(reason: state.reason, until: state.suspension?.until)
    case .expired: .expired(at: state.expiresAt ?? time)
    case .revoked: .revoked(reason: state.reason)
    }
  }
}
