internal import Endpoints
internal import HTTP
internal import Registry
internal import RequestSignature

/// A device that authenticated with a signature or a token.
///
/// A class, because each stage passes it on, and the frame of each suspended stage holds it.
final class AuthenticatedDevice: Sendable {
  let session: DeviceSession
  /// The parameters of the request's signature that the answer's signature repeats; nil if the answer is not signed.
  fileprivate let signed: (keyID: String, nonce: String)?

  init(_ session: DeviceSession, signed: (keyID: String, nonce: String)? = nil) {
    self.session = session
    self.signed = signed
  }
}

extension Endpoint<API> {
  /// An endpoint for devices.
  static func device<In: Input, Out: Answer>(
    _ method: String, _ path: String, _ name: String, _ summary: String, problems: [ProblemKind] = [],
    _ handler: @escaping @Sendable (API) -> (AuthenticatedDevice, In) async throws(RegistryError) -> Out
  ) -> Endpoint {
    let operation = Operation(
      method, path, name, summary, access: .device, problems: problems, reads: In.self, answers: Out.self)
    return Endpoint(operation) { api, call in await api.answer(call, handler) }
  }
}

extension API {
  /// The stages of a device's request, in the order of the contract. The handler tests existence and state.
  fileprivate func answer<In: Input, Out: Answer>(
    _ call: Call, _ handler: (API) -> (AuthenticatedDevice, In) async throws(RegistryError) -> Out
  ) async -> Response {
    let device: AuthenticatedDevice
    do throws(Problem) { device = try await authenticateDevice(call.request) } catch {
      return report(outcome(error, of: call.request), of: call)
    }
    var outcome: Outcome
    do throws(Problem) {
      try testLimit(of: device)
      try await admit(device)
      let input: In = try await read(call, from: device)
      do throws(RegistryError) {
        outcome = Outcome(try await handler(self)(device, input))
      } catch {
        throw Problem(error)
      }
    } catch {
      outcome = self.outcome(error, of: call.request)
    }
    if device.session.isAdmitted { charge(device, for: outcome) }
    sign(outcome.response, to: device)
    outcome.caller = .device(device.session.deviceID)
    outcome.response.party = device.session.clientID.hashValue
    return report(outcome, of: call)
  }

  /// Refuses a device that may not be used. The first use of a device's next secret completes the rotation.
  private func admit(_ device: AuthenticatedDevice) async throws(Problem) {
    do throws(RegistryError) { try await services.authentication.admit(device.session) } catch {
      throw Problem(error)
    }
  }

  private func testLimit(of device: AuthenticatedDevice) throws(Problem) {
    if let standing = device.session.standing, !device.session.isAdmitted {
      throw Problem(.rateLimited(standing))
    }
  }

  /// Charges the device for its answer, and adds the state of its limit. A poll's signals are few: only bytes count.
  private func charge(_ device: AuthenticatedDevice, for outcome: Outcome) {
    let cost = RequestCost.answer(rows: 0, bytes: outcome.bytes)
    if let standing = services.limits.charge(device.session.deviceID, cost: cost) {
      outcome.response.tell(standing)
    }
  }

  /// Tests media type and syntax. A request that cannot be read still counts for the device's presence.
  private func read<In: Input>(_ call: Call, from device: AuthenticatedDevice) async throws(Problem) -> In {
    do throws(Problem) {
      try await call.request.receiveWholeContent()
      return try call.input(In.self)
    } catch {
      services.authentication.noteCall(by: device.session)
      throw error
    }
  }

  /// Signs the answer to a signed request, whatever its status, and forbids intermediaries to transform it.
  private func sign(_ response: Response, to device: AuthenticatedDevice) {
    guard let signed = device.signed, let serverKey = device.session.serverKey else { return }
    let body = response.body?.withBytes { Array($0) } ?? []
    let signature = ResponseSigner.sign(
      status: response.status, body: body, created: services.clock.now().secondsSince1970,
      keyID: signed.keyID, nonce: signed.nonce, serverKey: serverKey)
    response.cacheControl = "no-store, no-transform"
    if let digest = signature.contentDigest { response.fields.append(("Content-Digest", digest)) }
    response.fields.append(("Signature-Input", signature.signatureInput))
    response.fields.append(("Signature", signature.signature))
  }
}
