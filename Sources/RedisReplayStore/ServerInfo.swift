/// The fields of `INFO` that the store needs. Hosted services forbid `CONFIG GET`, and only `INFO` identifies a
/// replica and a restart of the server.
struct RedisServerInfo {
  /// 40 characters, which change at each start of the server.
  let runID: String
  /// Why this Redis cannot keep nonces reliably; nil if it can.
  let objection: RedisFailure?

  /// Reads lines of `name:value`, and skips headings. Nil if a required field is missing.
  init?(_ text: String) {
    let values = Self.values(in: text)
    guard let runID = values["run_id"], let role = values["role"],
      let maximumMemory = values["maxmemory"], let policy = values["maxmemory_policy"]
    else { return nil }
    self.runID = String(runID)
    if role != "master" {
      objection = RedisFailure("this Redis is a replica, which takes no writes")
    } else if maximumMemory != "0", policy != "noeviction" {
      objection = RedisFailure(
        "Redis may forget nonces when its memory is full: maxmemory-policy is \(policy), set it to noeviction",
        kind: .evictionPolicy)
    } else {
      objection = nil
    }
  }

  /// The version of the server; nil if it does not say it.
  static func version(in text: String) -> String? { values(in: text)["redis_version"].map(String.init) }

  private static func values(in text: String) -> [Substring: Substring] {
    var values: [Substring: Substring] = [:]
    for line in text.split(whereSeparator: \.isNewline) {
      guard let colon = line.firstIndex(of: ":") else { continue }
      values[line[..<colon]] = line[line.index(after: colon)...]
    }
    return values
  }
}
