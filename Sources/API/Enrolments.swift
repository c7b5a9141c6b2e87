public import Endpoints
internal import HTTP
public import Registry

// Enrolments: the owner's operations, and the use of a code.

extension API {
  /// Throws `invalid`, `clientNotFound`, `groupNotFound`, `tooManyEnrolments`.
  func createEnrolments(
    _ owner: Owner, _ input: Creating<NewEnrolments>
  ) async throws(RegistryError) -> CreatedListing<IssuedEnrolment> {
    let new = input.content
    let issued = try await services.idempotency.once(
      input.key, of: owner.clientID, change: owner.change
    ) { (change) async throws(RegistryError) in
      try await services.enrolments.createEnrolments(
        clientID: owner.clientID, count: new.count, lifetimeSeconds: new.lifetimeSeconds,
        deviceName: new.deviceName, labels: new.labels, groups: new.groups,
        deviceExpiresAt: new.deviceExpiresAt, change: change)
    } replay: { (id) throws(RegistryError) in
      throw .secretAlreadyShown(.enrolment, id: id)
    }.value
    return CreatedListing(elements: issued)
  }

  func listEnrolments(
    _ owner: Owner, _ input: PageInput<EnrolmentCursor>
  ) async throws(RegistryError) -> Listing<ListedEnrolment> {
    let page = try await services.enrolments.listEnrolments(
      clientID: owner.clientID, limit: input.limit ?? EnrolmentService.defaultPage, after: input.cursor)
    let now = services.clock.now()
    return Listing(
      elements: page.elements.map { ListedEnrolment(enrolment: $0, now: now) },
      next: page.next.map(input.link))
  }

  /// Throws `enrolmentNotFound`, `notEnrolmentOwner`.
  func deleteEnrolment(_ owner: Owner, _ input: EnrolmentPath) async throws(RegistryError) -> NoContent {
    try await services.enrolments.deleteEnrolment(input.id, owner: owner.clientID, change: owner.change)
    return NoContent()
  }

  /// Throws `deviceNotFound`, `notOwner`, `deviceRevoked`, `tooManyEnrolments`.
  func createDeviceEnrolment(
    _ owner: Owner, _ input: Creating<PathAndBody<DevicePath, NewDeviceEnrolment>>
  ) async throws(RegistryError) -> Created<IssuedEnrolment> {
    let (id, new) = (input.content.path.id, input.content.body)
    let issued = try await services.idempotency.once(
      input.key, of: owner.clientID, change: owner.change
    ) { (change) async throws(RegistryError) in
      try await services.enrolments.createEnrolment(
        of: id, owner: owner.clientID, lifetimeSeconds: new.lifetimeSeconds, change: change)
    } replay: { (id) throws(RegistryError) in
      throw .secretAlreadyShown(.enrolment, id: id)
    }.value
    return Created(value: issued, location: "/api/v1/enrolments")
  }

  /// Throws `enrolmentInvalid`, `tooManyDevices`, `deviceNameTaken`, `groupNotFound`.
  func enrol(
    _ caller: Anyone, _ input: Creating<EnrollingTerminal>
  ) async throws(Problem) -> Created<RegisteredDevice> {
    do throws(RegistryError) {
      let registered = try await services.enrolments.enrol(
        with: input.content.code, deviceName: input.content.deviceName, key: input.key,
        requestID: caller.requestID)
      caller.proved = .device(registered.device.id)
      return Created(value: registered, location: "/api/v1/device")
    } catch {
      throw Problem(error)
    }
  }
}

// MARK: Inputs

extension Member<Int> {
  fileprivate static var expiresIn: Member {
    .optional(
      "expires_in", .integer(in: EnrolmentService.lifetimeSeconds),
      default: EnrolmentService.defaultLifetimeSeconds, "Seconds that the code works.")
  }
}

/// The body that creates enrolments.
struct NewEnrolments: JSONInput {
  let count: Int
  let lifetimeSeconds: Int
  let deviceName: DeviceName?
  let labels: Labels
  let groups: [GroupName]
  let deviceExpiresAt: Timestamp?

  static let body = JSONBody(
    "EnrolmentInput", isOptional: true,
    .object(
      .optional("count", .integer(in: EnrolmentService.counts), default: 1, "The number of codes."),
      .expiresIn,
      .optional(
        "device_name", DeviceNameRule.rule,
        "The name of the new device, unless the terminal gives one; of several, each with its number."),
      .optional("labels", DeviceRules.labels, "Of the new device."),
      .optional(
        "groups", DeviceRules.groups,
        "Groups of the client, which exist; each once. The new device is in those that still exist when the code is used."
      ),
      .optional(
        "device_expires_at", Rule.time, "From when on the new device is refused; a time in the future.")
    ) {
      NewEnrolments(
        count: $0, lifetimeSeconds: $1, deviceName: $2, labels: $3 ?? [:], groups: $4 ?? [],
        deviceExpiresAt: $5)
    })
}

/// The body that creates an enrolment of a device.
struct NewDeviceEnrolment: JSONInput {
  let lifetimeSeconds: Int

  static let body = JSONBody(
    "DeviceEnrolmentInput", isOptional: true, .object(.expiresIn) { NewDeviceEnrolment(lifetimeSeconds: $0) })
}

/// The body with which a terminal uses a code.
struct EnrollingTerminal: JSONInput {
  /// Nil for what is no code.
  let code: EnrolmentCode?
  let deviceName: DeviceName?

  static let body = JSONBody(
    "EnrolInput",
    .object(
      Member(
        "code",
        Rule<EnrolmentCode?>.text(["type": "string"]) { (text) throws(Problem) in EnrolmentCode(presented: text)
        },
        "The code, in either case, with or without hyphens and blanks."),
      .optional(
        "device_name", DeviceNameRule.rule,
        "The name of a new device. Without it, the owner's, or one that the registry makes. A device that exists keeps its name."
      )
    ) { EnrollingTerminal(code: $0, deviceName: $1) })
}

/// The path of an enrolment.
struct EnrolmentPath: PathInput {
  let id: EnrolmentID

  static let parameter = PathParameter(
    EnrolmentID.schema, "The enrolment's id.", notFound: Problem(.enrolmentNotFound)
  ) { EnrolmentID($0) }
}

// MARK: Answers

extension OneTimeCode: JSONWritable {
  public static var schema: JSONValue {
    let groups = (plainLength - 1) / groupLength
    let pattern =
      "^([A-Z2-7]{\(groupLength)}-){\(groups)}[A-Z2-7]{\(plainLength - groups * groupLength)}$"
    return ["type": "string", "pattern": .string(pattern)]
  }
  public func write(to json: inout JSONWriter) { withCharacters { json.plainString($0) } }
}

extension IssuedEnrolment: JSONObject {
  public static var name: String? { "IssuedEnrolment" }
  public static var isSensitive: Bool { true }

  public static func describe(_ members: inout some Members<Self>) {
    members.add("id") { $0.enrolment.id }
    members.add("code", ["description": "Works once. Only this answer has it."]) { $0.code }
    members.add("device_id", ["description": "The device whose secret the code replaces."]) {
      $0.enrolment.deviceID
    }
    members.add("device_name") { $0.enrolment.deviceName }
    members.add("expires_at") { $0.enrolment.expiresAt }
  }
}

/// An enrolment, and its status at a time.
struct ListedEnrolment: JSONObject {
  let enrolment: Enrolment
  let now: Timestamp

  static let name: String? = "Enrolment"

  static func describe(_ members: inout some Members<Self>) {
    members.add("id") { $0.enrolment.id }
    members.add(
      "status", ["enum": ["open", "used", "expired"], "description": "`open` while the code works."]
    ) {
      $0.enrolment.status(at: $0.now).rawValue
    }
    members.add(
      "device_id", ["description": "The device whose secret the code replaces, or that it made."]
    ) { $0.enrolment.deviceID }
    members.add("device_name") { $0.enrolment.deviceName }
    members.add("labels", ["description": "Of the device that the code makes, as are the groups."]) {
      $0.enrolment.labels
    }
    members.add("groups") { $0.enrolment.groups }
    members.add("device_expires_at", ["description": "From when on the device that the code makes is refused."])
    {
      $0.enrolment.deviceExpiresAt
    }
    members.add("created_at") { $0.enrolment.createdAt }
    members.add("expires_at") { $0.enrolment.expiresAt }
    members.add("used_at") { $0.enrolment.usedAt }
  }
}
