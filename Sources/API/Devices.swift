public import Endpoints
package import HTTP
public import Registry

// The owner's operations on devices.

extension API {
  /// Throws `invalid`, `clientNotFound`, `tooManyDevices`, `deviceNameTaken`, `groupNotFound`.
  func registerDevice(
    _ owner: Owner, _ input: Creating<NewDevice>
  ) async throws(RegistryError) -> Created<RegisteredDevice> {
    let new = input.content
    let registered = try await services.idempotency.once(
      input.key, of: owner.clientID, change: owner.change
    ) { (change) async throws(RegistryError) in
      try await services.devices.createDevice(
        clientID: owner.clientID, deviceName: new.deviceName, labels: new.labels, groups: new.groups,
        expiresAt: new.expiresAt, change: change)
    } replay: { (id) throws(RegistryError) in
      throw .secretAlreadyShown(.device, id: id)
    }.value
    return Created(value: registered, location: "/api/v1/devices/\(registered.device.id)")
  }

  /// A device as it is now.
  func shown(_ device: Device) -> ShownDevice {
    ShownDevice(
      device: device, time: services.clock.now(), offlineAfterSeconds: services.devices.offlineAfterSeconds)
  }

  /// 200 with a device as it is now.
  func ok(_ device: Device) -> OK<ShownDevice> {
    OK(value: shown(device))
  }

  /// Throws `deviceNotFound`, `notOwner`.
  func getDevice(_ owner: Owner, _ input: DevicePath) async throws(RegistryError) -> OK<ShownDevice> {
    ok(try await services.devices.getDevice(input.id, owner: owner.clientID))
  }

  /// Throws `invalid`, `deviceNotFound`, `notOwner`, `deviceRevoked`, `deviceNameTaken`.
  func updateDevice(
    _ owner: Owner, _ input: PathAndBody<DevicePath, DeviceChange>
  ) async throws(RegistryError) -> OK<ShownDevice> {
    ok(
      try await services.devices.updateDevice(
        input.path.id, owner: owner.clientID, input.body.update, change: owner.change))
  }

  /// Throws `deviceNotFound`, `notOwner`.
  func revokeDevice(
    _ owner: Owner, _ input: PathAndBody<DevicePath, Revocation>
  ) async throws(RegistryError) -> NoContent {
    try await services.devices.revokeDevice(
      input.path.id, owner: owner.clientID, change: owner.change.because(input.body.reason))
    return NoContent()
  }

  /// Throws `deviceNotFound`, `notOwner`, `deviceRevoked`.
  func rotateSecret(
    _ owner: Owner, _ input: Creating<PathAndBody<DevicePath, Rotation>>
  ) async throws(RegistryError) -> OK<RotatedDevice> {
    let (id, rotation) = (input.content.path.id, input.content.body)
    let rotated = try await services.idempotency.once(
      input.key, of: owner.clientID, change: owner.change.because(rotation.reason)
    ) { (change) async throws(RegistryError) in
      try await services.devices.rotateSecret(
        of: id, owner: owner.clientID, graceSeconds: rotation.graceSeconds, change: change)
    } replay: { (id) throws(RegistryError) in
      throw .secretAlreadyShown(.device, id: id)
    }
    return OK(value: rotated.value)
  }
}

extension Member<String?> {
  /// Why the caller makes a change, for its event.
  static var reason: Member {
    .optional("reason", .text(atMost: Change.maximumReasonLength), "Why; the event of the change has it.")
  }
}

/// The body that revokes a device.
struct Revocation: JSONInput {
  let reason: String?

  static let body = JSONBody(
    "RevocationInput", isOptional: true, .object(Member.reason) { Revocation(reason: $0) })
}

/// The body that rotates a secret.
struct Rotation: JSONInput {
  let graceSeconds: Int
  let reason: String?

  static let body = JSONBody(
    "RotationInput", isOptional: true,
    .object(
      .optional(
        "grace_seconds", .integer(in: DeviceService.graceSeconds), default: DeviceService.defaultGraceSeconds,
        "Seconds that the old secret still works; 0 ends it at once."),
      Member.reason
    ) { Rotation(graceSeconds: $0, reason: $1) })
}

/// The body that registers a device.
struct NewDevice: JSONInput {
  let deviceName: DeviceName
  let labels: Labels
  let groups: [GroupName]
  let expiresAt: Timestamp?

  static let body = JSONBody(
    "DeviceInput",
    .object(
      Member("device_name", DeviceNameRule.rule, DeviceNameRule.meaning),
      .optional("labels", DeviceRules.labels),
      .optional("groups", DeviceRules.groups, "Groups of the client, which exist; each once."),
      .optional(
        "expires_at", Rule.time, "From when on the device is refused; a time in the future.")
    ) { NewDevice(deviceName: $0, labels: $1 ?? [:], groups: $2 ?? [], expiresAt: $3) })
}

/// The body that changes a device.
struct DeviceChange: JSONInput {
  let update: DeviceUpdate

  static let body = JSONBody(
    "DeviceUpdate",
    .object(
      .optional("device_name", DeviceNameRule.rule, DeviceNameRule.meaning),
      .removable(
        "labels", DeviceRules.labelPatch,
        "Merged with the device's labels (RFC 7396): null removes one; null for the whole removes all."),
      .removable(
        "expires_at", Rule.time,
        "From when on the device is refused; null for a device that does not expire."),
      .removable(
        "bound_account", TradingAccount.rule,
        "The account on which alone the device gets signals; null for any.")
    ) { (deviceName, labels, expiresAt, boundAccount) throws(Problem) in
      guard deviceName != nil || labels != nil || expiresAt != nil || boundAccount != nil else {
        throw .wrong("must have device_name, labels, expires_at or bound_account")
      }
      return DeviceChange(
        update: DeviceUpdate(
          deviceName: deviceName, labels: labels.map { $0 ?? .removeAll }, expiresAt: expiresAt,
          boundAccount: boundAccount))
    })
}

/// The rule of a device's name.
enum DeviceNameRule {
  static let rule = Rule<DeviceName>.text(
    DeviceName.schema.adding([
      "pattern": .string("^[^\(refused)]*[^\\s\(refused)\(joiners)][^\(refused)]*$")
    ]), parse: deviceName)

  static let meaning =
    "Normalised to NFC and trimmed of white space, without invisible characters; a joiner (U+200D) and variation "
    + "selectors are allowed in emoji. Unique among the client's devices that are not revoked."

  /// Control characters and default-ignorable code points, as a part of a character class.
  private static let refused =
    #"\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f"#
    + #"\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufff8"#
    // Patterns of JSON Schema have no escape for these that all libraries know.
    + "\u{1BCA0}-\u{1BCA3}\u{1D173}-\u{1D17A}\u{E0000}-\u{E0FFF}"

  /// The invisible characters of emoji.
  private static let joiners = #"\u200d\ufe0e\ufe0f"#

  private static func deviceName(_ text: String) throws(Problem) -> DeviceName {
    do throws(RegistryError) { return try DeviceName(text) } catch {
      guard case .invalid(_, let message) = error else { throw Problem(error) }
      throw .wrong(message)
    }
  }
}

/// The path of a device.
struct DevicePath: PathInput {
  let id: DeviceID

  static let parameter = PathParameter(
    DeviceID.schema, "The device's id.", notFound: Problem(.deviceNotFound)
  ) { DeviceID($0) }
}

/// A device at a time, on which its status depends.
struct ShownDevice: JSONObject {
  let device: Device
  let time: Timestamp
  var offlineAfterSeconds = Device.defaultOfflineAfterSeconds

  static let name: String? = "Device"

  var status: DeviceState.Status { device.state.status(at: time) }
  var isOnline: Bool { device.isOnline(at: time, offlineAfterSeconds: offlineAfterSeconds) }

  static func describe(_ members: inout some Members<Self>) {
    members.include { DeviceFacts(shown: $0) }
    members.add("trading_mode") { $0.device.tradingMode }
  }
}

/// What its owner and the device itself see of a device alike.
struct DeviceFacts: JSONObject {
  let shown: ShownDevice

  private var device: Device { shown.device }
  private var time: Timestamp { shown.time }
  private var status: DeviceState.Status { shown.status }

  static func describe(_ members: inout some Members<Self>) {
    members.add("id") { $0.device.id }
    members.add("client_id") { $0.device.clientID }
    members.add("device_name") { $0.device.deviceName }
    members.add("is_active", ["description": "Whether the device may be used: `status` is `active`."]) {
      $0.status == .active
    }
    members.add("revoked", ["description": "Whether the device is revoked, which is final."]) {
      $0.device.isRevoked
    }
    members.add("status", ["description": "The worst that applies."]) { $0.status }
    members.add("status_reason", ["description": "Why the device is suspended or revoked."]) {
      $0.device.state.reason(at: $0.time)
    }
    members.add("suspended_until", ["description": "When the suspension ends."]) {
      $0.device.state.suspendedUntil(at: $0.time)
    }
    members.add("expires_at", ["description": "From when on the device is refused."]) {
      $0.device.state.expiresAt
    }
    members.add("labels") { $0.device.labels }
    members.add("groups", ["description": "The names of the groups that the device is in, sorted."]) {
      $0.device.groups
    }
    members.add(
      "online", ["description": "Whether the device sent a request in the last `OFFLINE_AFTER_SECONDS`."]
    ) { $0.shown.isOnline }
    members.add("instance", ["description": "The instance that has the lease, or had it last."]) {
      $0.device.terminal.lease
    }
    members.add("context") { $0.device.terminal.context }
    members.add("bound_account", ["description": "The account on which alone the device gets signals."]) {
      $0.device.terminal.boundAccount
    }
    members.add("last_poll") { $0.device.lastPoll }
    members.add("last_ack") { $0.device.lastAck }
    members.add("last_seen") { $0.device.lastSeen }
    members.add("created_at") { $0.device.createdAt }
    members.add("updated_at") { $0.device.updatedAt }
  }
}

extension DeviceState.Status: JSONWritable {}

extension TradingMode: JSONObject {
  public static var name: String? { "DeviceTradingMode" }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("mode") { $0.mode }
    members.add("version", ["description": "Grows with each change."]) { $0.version }
    members.add("reason") { $0.reason }
    members.add("since", ["description": "When the mode last changed."]) { $0.since }
    members.add("confirmed_version", ["description": "The version that the device last said it obeys."]) {
      $0.confirmedVersion
    }
    members.add("confirmed_at") { $0.confirmedAt }
  }
}

extension TradingMode.Mode: JSONWritable {}

extension Labels: JSONWritable {
  public static var schema: JSONValue {
    [
      "type": "object", "maxProperties": .integer(Int64(maximumCount)),
      "propertyNames": ["pattern": "^[A-Za-z0-9._/-]{1,64}$"],
      "additionalProperties": ["type": "string", "pattern": "^[A-Za-z0-9._-]{0,64}$"],
    ]
  }
  public func write(to json: inout JSONWriter) { JSONText(bytes: Array(self.json.utf8)).write(to: &json) }
}

extension GroupName: JSONWritable {
  public static var schema: JSONValue { ["type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"] }
  public func write(to json: inout JSONWriter) { json.string(text) }
}

extension RegisteredDevice: JSONObject {
  public static var name: String? { "RegisteredDevice" }
  public static var isSensitive: Bool { true }

  public static func describe(_ members: inout some Members<Self>) {
    members.include { ShownDevice(device: $0.device, time: $0.device.updatedAt) }
    members.add(
      "hmac_key_hash", ["description": "The argon2id PHC string of the secret.", "pattern": #"^\$argon2id\$"#]
    ) { $0.hmacKeyHash }
    members.add("secret", ["description": "The device's HMAC key, shown once.", "pattern": "^[0-9a-f]{64}$"]) {
      $0.secret
    }
  }
}

extension RotatedDevice: JSONObject {
  public static var name: String? { "RotatedDevice" }
  public static var isSensitive: Bool { true }

  public static func describe(_ members: inout some Members<Self>) {
    members.include { $0.registered }
    members.add("grace_expires_at") { $0.graceExpiresAt }
  }
}

extension API {
  /// The answer to a list of devices, for the benchmarks.
  package static func answer(listing devices: [Device], at time: Timestamp) -> Response {
    Listing(elements: devices.map { ShownDevice(device: $0, time: time) }, next: nil).response()
  }
}
