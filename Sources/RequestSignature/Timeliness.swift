/// The relation of a signature's times to the present.
public enum Timeliness: Hashable, Sendable {
  case timely
  /// `created` is older than the skew.
  case tooOld
  /// `created` is further in the future than clocks may differ.
  case tooEarly
  /// `expires` is past.
  case expired
}

extension RequestProof {
  /// Compares the request's times with `now`, in seconds since 1970; `created` may be at most `skewSeconds` before it
  /// and `leadSeconds` after it.
  public func timeliness(at now: Int64, skewSeconds: Int64, leadSeconds: Int64) -> Timeliness {
    if created < now - skewSeconds { return .tooOld }
    if created > now + leadSeconds { return .tooEarly }
    if let expires, expires < now { return .expired }
    return .timely
  }
}
