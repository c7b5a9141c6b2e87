/// Stores enrolments.
public protocol EnrolmentStore: Sendable {
  /// Stores enrolments that one change creates: all of the same client, for the same device or for new ones that
  /// differ in their names only, and with the same times. Stores none, and returns false, if they are for a device that is not the client's or is revoked.
  /// Throws `clientNotFound`, `groupNotFound`, and `tooManyEnrolments` if the client would have more than
  /// `Enrolment.maximumPerClient`.
  func insertEnrolments(_ enrolments: [NewEnrolment], change: Change) async throws(RegistryError) -> Bool

  func enrolment(_ id: EnrolmentID) async throws(RegistryError) -> Enrolment?

  /// The enrolment whose code has the hash, in whatever state it is.
  func enrolment(withCode hash: TokenHash) async throws(RegistryError) -> Enrolment?

  /// At most `limit` enrolments of the client with ids after `id`, in the order of their ids.
  func enrolments(
    of client: ClientID, after id: EnrolmentID?, limit: Int
  ) async throws(RegistryError) -> [Enrolment]

  /// False if the owner has no such enrolment.
  func deleteEnrolment(
    _ id: EnrolmentID, of owner: ClientID, change: Change
  ) async throws(RegistryError) -> Bool

  /// Uses an open enrolment for a new device, of the client that has both. False, without effect, if it is not open at
  /// the change's time. Throws `clientNotFound`, `tooManyDevices`, `deviceNameTaken`, `groupNotFound`: then it stays open.
  func enrol(
    _ device: Device, verifier: SecretVerifier, with id: EnrolmentID, maxDevices: Int, change: Change
  ) async throws(RegistryError) -> Bool

  /// Uses an open enrolment to replace the secret of its device, whose old secrets and tokens end. Nil, without effect
  /// on the device, if the enrolment is not open at the change's time, or the device is revoked.
  func replaceSecret(
    of device: DeviceID, of owner: ClientID, by verifier: SecretVerifier, with id: EnrolmentID, change: Change
  ) async throws(RegistryError) -> Device?

  /// Deletes enrolments that were used or expired before a time, and returns how many, at most `maximumRows`.
  func removeEnrolments(endedBefore time: Timestamp, maximumRows: Int) async throws(RegistryError) -> Int
}

/// The last row of a page; the next page starts after it.
public struct EnrolmentCursor: Hashable, Sendable {
  public let id: EnrolmentID

  public init(id: EnrolmentID) { self.id = id }
}
