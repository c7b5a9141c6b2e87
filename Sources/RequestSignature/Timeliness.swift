/// How a signature's times lie to the present.
public enum Timeliness: Hashable, Sendable {
  case timely
  /// `created` lies further back than the skew.
  case tooOld
  /// `created` lies further ahead than clocks may differ.
  case tooEarly
  /// `expires` is past.
  case expired
}

extension RequestProof {
  /// How the request's times lie to `now`, in seconds since 1970; `created` may lie `skewSeconds` back, and
  /// `leadSeconds` ahead.
  public func timeliness(at now: Int64, skewSeconds: Int64, leadSeconds: Int64) -> Timeliness {
    if created < now - skewSeconds { return .tooOld }
    if created > now + leadSeconds { return .tooEarly }
    if let expires, expires < now { return .expired }
    return .timely
  }
}
