extension DeviceClient {
  /// Uses a code: makes a device, or gives the code's device a new secret. Store the result's secret before anything
  /// else.
  ///
  /// Throws a `problem` of kind `enrolment-invalid` for an unknown, used or expired code, `device-name-taken`,
  /// `too-many-devices`; and with a key, `secret-already-shown` with the device's id if an earlier request with it and
  /// the code succeeded.
  ///
  /// - Parameters:
  ///   - name: the name of a new device; nil for the owner's, or one that the registry makes.
  ///   - idempotencyKey: makes it harmless to repeat the request; see `OwnerClient`.
  public static func enrol(
    url: String, code: String, name: String? = nil, idempotencyKey: String? = nil,
    allowsInsecureHTTP: Bool = false, caFile: String? = nil, retries: RetryPolicy = RetryPolicy(),
    system: ClientSystem = ClientSystem()
  ) async throws(RegistryClientError) -> RegisteredDevice {
    struct Body: Encodable {
      let code: String
      let device_name: String?
    }
    let origin = try Origin(url, allowsInsecureHTTP: allowsInsecureHTTP)
    // Without a token: the code is all that authenticates.
    let exchange = OwnerExchange(
      transport: try Transport(origin: origin, caFile: caFile), token: nil, retries: retries, system: system)
    let call = Call(
      method: "POST", target: "/api/v1/device/enrol",
      body: try .json(Body(code: code, device_name: name), "name"))
    return try await exchange.create(call, idempotencyKey: idempotencyKey).decode()
  }
}
