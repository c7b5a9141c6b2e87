internal import Commands
internal import Crypto
private import Glibc
internal import Registry

enum SealCommand {
  static let usage = "device-registry seal [\(newKeyFile) FILE] [--FLAG VALUE ...]"

  static let help = """
    Seals the secrets in the database with the first key of SEALING_KEY_FILE: those that were stored before there was a
    key, and those that were sealed with another key of the file. The service may run meanwhile, if it has these keys.
    It works in small steps. It may be interrupted, and continues when it is run again.

    usage: \(usage)

    \(CommandLineInterface.columns([
      (newKeyFile, "seals with the first key of this file, and opens also with those of SEALING_KEY_FILE")
    ]))
    \(CommandLineInterface.columns(of: settings))

    To change the key while the service runs:
      1. Add the new key as the last line of SEALING_KEY_FILE, and restart the service: it can open both.
      2. Make the new key the first line, and restart the service: it seals with the new key.
      3. device-registry seal
      4. Remove the old key from the file, and restart the service.
    """

  private static let newKeyFile = "--new-key-file"
  private static let settings: [Setting] = [.databaseURL, .sealingKeyFile]
  /// Devices or webhooks of a step.
  private static let rowsPerStep = 500
  /// Devices between two lines of progress.
  private static let devicesPerReport = 10_000
  /// Rounds over all devices. A further one is for devices that changed during the one before.
  private static let maximumRounds = 3

  static func run(_ arguments: [String], environment: [String: String]) async throws {
    let arguments = try Arguments(
      arguments, flags: [newKeyFile] + settings.map(\.flag), environment: environment)
    try arguments.expectWords(usage: usage)
    let sealer = try sealer(arguments)
    let url = try Configuration.database(arguments)
    try Database.migrateExisting(url)
    try await Database.withStore(of: url, sealer: sealer) { store in
      try await SealingCheck.test(sealer, against: store)
      try await seal(store)
      try await sealWebhooks(store)
      let others = try await store.sealingKeys(limit: SealingKeyFile.maximumKeys).subtracting([sealer.keys[0]])
      guard others.isEmpty else { throw SealingUnfinished() }
    }
    print("all secrets in the database are sealed with the key \(sealer.keys[0])")
    if let path = arguments.value(of: newKeyFile) {
      print("set SEALING_KEY_FILE to \(path), and restart the service")
    }
  }

  /// The keys of both files. The first one of the new file, if there is one, seals.
  private static func sealer(_ arguments: Arguments) throws(UsageError) -> KeyFileSealer {
    var (keys, paths): ([SealingKey], [String]) = ([], [])
    if let path = arguments.value(of: newKeyFile) {
      keys = try SealingKeyFile.keys(in: path) { UsageError("\(newKeyFile): \($0)") }
      paths = [path]
    }
    if let path = arguments.value(of: .sealingKeyFile) {
      keys += try SealingKeyFile.keys(in: path) { UsageError(.sealingKeyFile, $0) }
      paths.append(path)
    }
    guard !keys.isEmpty else {
      throw UsageError(.sealingKeyFile, "set this to the file with the key to seal with")
    }
    return KeyFileSealer(keys, path: paths.joined(separator: " or "))
  }

  private static func seal(_ store: any RegistryStore) async throws {
    for _ in 1...maximumRounds {
      guard try await sealRound(store) > 0 else { return }
    }
    throw SealingUnfinished()
  }

  private static func sealWebhooks(_ store: any RegistryStore) async throws(RegistryError) {
    var last: WebhookID?
    repeat { last = try await store.sealWebhooks(after: last, limit: rowsPerStep) } while last != nil
  }

  /// Seals what all devices have, and returns how many were passed over.
  private static func sealRound(_ store: any RegistryStore) async throws(RegistryError) -> Int {
    var (last, seen, sealed, passedOver, reported): (DeviceID?, Int, Int, Int, Int) = (nil, 0, 0, 0, 0)
    // Each step continues after the last device of the one before, so there are as many as devices allow.
    repeat {
      let step = try await store.sealDevices(after: last, limit: rowsPerStep)
      last = step.last
      seen += step.count
      sealed += step.sealed
      passedOver += step.passedOver
      if seen >= reported + devicesPerReport || last == nil {
        print("sealed the secrets of \(sealed) devices; \(seen) devices were read")
        // A pipe would keep it until the end.
        fflush(nil)
        reported = seen
      }
    } while last != nil
    return passedOver
  }
}

/// Something is still plain, or has an old key.
private struct SealingUnfinished: Error, CustomStringConvertible {
  let description =
    "other processes store secrets at the same time that are plain or have an old key: restart them with the new key as "
    + "the first line of SEALING_KEY_FILE, and run this command again"
}
