public import Endpoints
package import HTTP
public import Registry

// What an owner does with its devices.

extension API {
  /// Throws `clientNotFound`, `tooManyDevices`, `deviceNameTaken`.
  func registerDevice(
    _ owner: Owner, _ input: NamedDevice
  ) async throws(RegistryError) -> Created<RegisteredDevice> {
    let registered = try await services.devices.createDevice(
      clientID: owner.clientID, deviceName: input.deviceName, change: owner.change)
    return Created(value: registered, location: "/api/v1/devices/\(registered.device.id)")
  }

  /// A client that is not registered has no devices.
  func listDevices(
    _ owner: Owner, _ input: PageInput<DeviceCursor>
  ) async throws(RegistryError) -> Listing<Device> {
    let page = try await services.devices.listDevices(
      clientID: owner.clientID, limit: input.limit, after: input.cursor)
    return Listing(elements: page.elements, next: page.next.map(input.link))
  }

  /// Throws `deviceNotFound`, `notOwner`.
  func getDevice(_ owner: Owner, _ input: DevicePath) async throws(RegistryError) -> OK<Device> {
    OK(value: try await services.devices.getDevice(input.id, owner: owner.clientID))
  }

  /// Throws `deviceNotFound`, `notOwner`, `deviceRevoked`, `deviceNameTaken`.
  func renameDevice(_ owner: Owner, _ input: RenamedDevice) async throws(RegistryError) -> OK<Device> {
    OK(
      value: try await services.devices.updateDeviceName(
        input.id, owner: owner.clientID, to: input.deviceName,
        change: owner.change))
  }

  /// Throws `deviceNotFound`, `notOwner`.
  func revokeDevice(_ owner: Owner, _ input: DevicePath) async throws(RegistryError) -> NoContent {
    try await services.devices.revokeDevice(input.id, owner: owner.clientID, change: owner.change)
    return NoContent()
  }

  /// Throws `deviceNotFound`, `notOwner`, `deviceRevoked`.
  func rotateSecret(_ owner: Owner, _ input: Rotation) async throws(RegistryError) -> OK<RotatedDevice> {
    OK(
      value: try await services.devices.rotateSecret(
        of: input.id, owner: owner.clientID, graceSeconds: input.graceSeconds, change: owner.change))
  }
}

/// A device in the path, and `{"grace_seconds"?}`, which may be absent as a whole.
struct Rotation: Input {
  let id: DeviceID
  let graceSeconds: Int

  private struct Body: Decodable {
    let grace_seconds: JSONInteger?
  }

  static let description = InputDescription(
    parameters: DevicePath.description.parameters,
    body: Schema(
      name: "RotationInput",
      definition: [
        "type": "object",
        "additionalProperties": false,
        "properties": [
          "grace_seconds": [
            "type": ["integer", "null"],
            "minimum": .integer(Int64(DeviceService.graceSeconds.lowerBound)),
            "maximum": .integer(Int64(DeviceService.graceSeconds.upperBound)),
            "default": .integer(Int64(DeviceService.defaultGraceSeconds)),
            "description": "Seconds that the old secret still works; 0 ends it at once.",
          ]
        ],
      ]), isBodyOptional: true)

  init(of call: Call) throws(Problem) {
    graceSeconds = try Self.graceSeconds(of: call)
    id = try call.deviceID()
  }

  private static func graceSeconds(of call: Call) throws(Problem) -> Int {
    guard !call.content.isEmpty, let grace = try call.json(Body.self).grace_seconds else {
      return DeviceService.defaultGraceSeconds
    }
    return try grace.value(in: DeviceService.graceSeconds, of: "grace_seconds")
  }
}

/// `{"device_name": ...}`.
struct NamedDevice: Input {
  let deviceName: DeviceName

  private struct Body: Decodable {
    let device_name: String
  }

  static let description = InputDescription(
    body: Schema(
      name: "DeviceNameInput",
      definition: [
        "type": "object",
        "required": ["device_name"],
        "additionalProperties": false,
        "properties": [
          "device_name": [
            "type": "string", "minLength": 1, "maxLength": .integer(Int64(DeviceName.maximumLength)),
            "pattern":
              #"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$"#,
            "description":
              "Normalised to NFC and trimmed of white space; unique among the client's devices that are not revoked.",
          ]
        ],
      ]))

  init(of call: Call) throws(Problem) {
    let body = try call.json(Body.self)
    do throws(RegistryError) { deviceName = try DeviceName(body.device_name) } catch { throw Problem(error) }
  }
}

extension Call {
  /// The device that the path names. What is not of the form of an id names no device.
  func deviceID() throws(Problem) -> DeviceID {
    guard let text = pathParameters[0], let id = DeviceID(text) else { throw Problem(.deviceNotFound) }
    return id
  }
}

/// A device in the path.
struct DevicePath: Input {
  let id: DeviceID

  static let description = InputDescription(parameters: [
    ParameterDescription(
      name: "id", place: .path, meaning: "The device's id.", schema: ["type": "string", "format": "uuid"])
  ])

  init(of call: Call) throws(Problem) { id = try call.deviceID() }
}

/// A device in the path, and its new name.
struct RenamedDevice: Input {
  let id: DeviceID
  let deviceName: DeviceName

  static let description = InputDescription(
    parameters: DevicePath.description.parameters, body: NamedDevice.description.body)

  init(of call: Call) throws(Problem) {
    deviceName = try NamedDevice(of: call).deviceName
    id = try call.deviceID()
  }
}

extension Device: JSONObject {
  public static var name: String? { "Device" }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("id") { $0.id }
    members.add("client_id") { $0.clientID }
    members.add("device_name") { $0.deviceName }
    members.add("is_active", ["description": "Whether the device may be used; false once revoked."]) {
      $0.isActive
    }
    members.add("revoked", ["description": "Whether the device is revoked, which is final."]) { $0.revoked }
    members.add("last_poll") { $0.lastPoll }
    members.add("last_ack") { $0.lastAck }
    members.add("last_seen") { $0.lastSeen }
    members.add("created_at") { $0.createdAt }
    members.add("updated_at") { $0.updatedAt }
  }
}

extension RegisteredDevice: JSONObject {
  public static var name: String? { "RegisteredDevice" }
  public static var isSensitive: Bool { true }

  public static func describe(_ members: inout some Members<Self>) {
    members.include { $0.device }
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
  package static func answer(listing devices: [Device]) -> Response {
    Listing(elements: devices, next: nil).response()
  }
}
