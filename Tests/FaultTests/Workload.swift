import Foundation
import Synchronization
import TestSupport

/// The requests of owners and devices and the answers to them, to be compared with a registry that was killed
/// meanwhile: whatever was answered with 2xx must be there.
///
/// Each of several owners registers devices, renames and revokes some, sends signals to one, which acknowledges them.
final class Workload: Sendable {
  /// Acknowledged changes, of all kinds, since the beginning.
  let acknowledged = Counter()
  /// Answers other than 2xx.
  let refused = Counter()
  private let owners: [WorkingOwner]

  /// - Parameter service: where the owners are registered.
  init(owners count: Int, at service: Service) async throws {
    var owners: [WorkingOwner] = []
    for _ in 0..<count {
      let token = try await service.newOwner()
      let device = try await service.newDevice(of: token, "receiver")
      owners.append(
        WorkingOwner(token: token, receiver: device, receiverToken: try await device.token(of: service)))
    }
    self.owners = owners
  }

  /// Works until the service is gone.
  func run(on service: Service) async {
    await withTaskGroup { group in
      for owner in owners {
        group.addTask { await owner.work(on: service, acknowledged: self.acknowledged, refused: self.refused) }
      }
    }
  }

  /// What is not as it was acknowledged; empty when all is well. Nobody works meanwhile.
  func losses(at service: Service) async throws -> [String] {
    var losses: [String] = []
    for owner in owners { losses += try await owner.losses(at: service) }
    return losses
  }
}

/// A number that several threads raise.
final class Counter: Sendable {
  private let number = Atomic(0)
  var value: Int { number.load(ordering: .relaxed) }
  func add(_ count: Int = 1) { number.add(count, ordering: .relaxed) }
}

private final class WorkingOwner: Sendable {
  /// What the registry said of a device, or might have done without an answer.
  private struct Known {
    var name: String
    var isRevoked = false
    /// Also true where a request's answer did not come.
    var possibleNames: Set<String> = []
    var mayBeRevoked = false
  }
  private struct State {
    var devices: [String: Known] = [:]
    /// Names of registrations without an answer.
    var unansweredNames: Set<String> = []
    var signals: Set<String> = []
    var acked: Set<String> = []
    var step = 0
  }

  private let token: String
  private let receiver: FaultDevice
  private let receiverToken: String
  private let state = Mutex(State())

  init(token: String, receiver: FaultDevice, receiverToken: String) {
    self.token = token
    self.receiver = receiver
    self.receiverToken = receiverToken
    state.withLock { $0.devices[receiver.id] = Known(name: "receiver") }
  }

  func work(on service: Service, acknowledged: Counter, refused: Counter) async {
    while service.process.isRunning, !Task.isCancelled {
      let step = state.withLock { state in
        state.step += 1
        return state.step
      }
      do {
        let isDone = try await take(step, on: service)
        (isDone ? acknowledged : refused).add()
      } catch {
        // Nobody answered.
        refused.add()
        usleep(2000)
      }
    }
  }

  /// One change; whether it was acknowledged.
  private func take(_ step: Int, on service: Service) async throws -> Bool {
    switch step % 5 {
    case 1, 2: try await register("device \(step)", on: service)
    case 3: try await rename(to: "renamed \(step)", on: service)
    case 4: try await (step % 2 == 0 ? revoke(on: service) : send(on: service))
    default: try await acknowledge(on: service)
    }
  }

  private func register(_ name: String, on service: Service) async throws -> Bool {
    state.withLock { _ = $0.unansweredNames.insert(name) }
    let answer = try await service.ask(
      "POST", "/api/v1/devices", token: token, json: ["device_name": name])
    guard answer.status == 201 else { return false }
    let id = try answer.string("id")!
    state.withLock { state in
      state.unansweredNames.remove(name)
      state.devices[id] = Known(name: name)
    }
    return true
  }

  private func rename(to name: String, on service: Service) async throws -> Bool {
    guard let id = anyDevice() else { return false }
    state.withLock { _ = $0.devices[id]!.possibleNames.insert(name) }
    let answer = try await service.ask(
      "PATCH", "/api/v1/devices/\(id)", token: token, json: ["device_name": name])
    guard answer.status == 200 else { return false }
    state.withLock { $0.devices[id] = Known(name: name) }
    return true
  }

  private func revoke(on service: Service) async throws -> Bool {
    guard let id = anyDevice() else { return false }
    state.withLock { $0.devices[id]!.mayBeRevoked = true }
    let answer = try await service.ask("POST", "/api/v1/devices/\(id)/revoke", token: token)
    guard answer.status == 204 else { return false }
    state.withLock { $0.devices[id]!.isRevoked = true }
    return true
  }

  private func send(on service: Service) async throws -> Bool {
    let answer = try await service.ask(
      "POST", "/api/v1/signals", token: token,
      json: ["payload": ["side": "buy"], "device_ids": [receiver.id]])
    guard answer.status == 201 else { return false }
    let id = try answer.string("id")!
    state.withLock { _ = $0.signals.insert(id) }
    return true
  }

  private func acknowledge(on service: Service) async throws -> Bool {
    guard let id = state.withLock({ $0.signals.subtracting($0.acked).first }) else { return false }
    let answer = try await service.ask(
      "POST", "/api/v1/device/ack", token: receiverToken,
      json: ["acks": [["signal_id": id, "status": "placed"]]])
    guard answer.status == 200, try answer.object()["acked"] as? [String] == [id] else { return false }
    state.withLock { _ = $0.acked.insert(id) }
    return true
  }

  /// A device whose state is known, and not the receiver.
  private func anyDevice() -> String? {
    state.withLock { state in
      state.devices.first {
        $0.key != receiver.id && !$0.value.mayBeRevoked && $0.value.possibleNames.isEmpty
      }?.key
    }
  }

  // MARK: What is there

  func losses(at service: Service) async throws -> [String] {
    let rows = try await service.demand(200, "GET", "/api/v1/devices", token: token).array()
    let stored = Dictionary(uniqueKeysWithValues: rows.map { ($0["id"] as! String, $0) })
    let state = state.withLock { $0 }
    var losses: [String] = []
    for (id, known) in state.devices {
      guard let row = stored[id] else {
        losses.append("device \(id) is gone")
        continue
      }
      let name = row["device_name"] as! String
      if name != known.name, !known.possibleNames.contains(name) { losses.append("\(id) is named \(name)") }
      let isRevoked = row["revoked"] as! Bool
      if isRevoked != known.isRevoked, !(isRevoked && known.mayBeRevoked) {
        losses.append("\(id): revoked is \(isRevoked)")
      }
    }
    let strangers = stored.filter { state.devices[$0.key] == nil }.map { $0.value["device_name"] as! String }
    losses += strangers.filter { !state.unansweredNames.contains($0) }.map { "nobody registered \($0)" }
    for id in state.signals {
      losses += try await ackLosses(of: id, isAcked: state.acked.contains(id), service)
    }
    return losses
  }

  private func ackLosses(of signal: String, isAcked: Bool, _ service: Service) async throws -> [String] {
    let answer = try await service.ask("GET", "/api/v1/signals/\(signal)", token: token)
    guard answer.status == 200 else { return ["signal \(signal): \(answer.status)"] }
    let deliveries = try answer.object()["deliveries"] as? [[String: Any]] ?? []
    guard deliveries.count == 1 else { return ["signal \(signal) has \(deliveries.count) deliveries"] }
    let isStoredAcked = deliveries[0]["state"] as? String == "acked"
    return isAcked && !isStoredAcked ? ["the ack of \(signal) is gone"] : []
  }
}
