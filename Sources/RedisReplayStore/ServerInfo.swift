/// The fields of `INFO` that the store needs. Hosted services forbid `CONFIG GET`, and only `INFO` identifies a
/// replica and a restart of the server.
struct RedisServerInfo {
  /// 40 characters, which change at each start of the server.
  let runID: String
  /// Why this Redis cannot keep nonces reliably; nil if it can.
  let objection: RedisFailure?

  /// Reads lines of `name:value`, and skips headings. Nil if a required field is missing.
  init?(_ text: String) {
    var values: [Substring: Substring] = [:]
    for line in text.split(whereSeparator: \.isNewline) {
      guard let colon = line.firstIndex(of: ":") else { continue }
      values[line[..<colon]] = line[line.index(after: colon)...]
    }
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
}
