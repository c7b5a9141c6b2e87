import DeviceRegistryClient
import Foundation
import Testing

@Suite("A device's signals as they come")
struct SignalsTests {
  /// The first `count` signals of a sequence, without acknowledging them.
  private func first(_ count: Int, of signals: Signals) async throws(RegistryClientError) -> [String] {
    var ids: [String] = []
    var iterator = signals.makeAsyncIterator()
    while ids.count < count, let signal = try await iterator.next() { ids.append(signal.id) }
    return ids
  }

  @Test
  func `come one by one, in their order, over as many polls as it takes; each once`() async throws {
    let stand = StandInDevices([
      .signed(pollReply(["a", "b"])), .signed(emptyPoll), .signed(pollReply(["b", "c"])),
      .signed(pollReply(["b", "d"])),
    ])
    let client = try deviceClient(stand.url)
    #expect(try await first(4, of: client.signals(wait: 20, max: 5)) == ["a", "b", "c", "d"])
    #expect(stand.registry.received.allSatisfy { $0.target == "/api/v1/device/poll?wait=20&max=5" })
    #expect(stand.proofs.count == 4)
  }

  @Test
  func `A signal that cannot be read is reported once, and the others come`() async throws {
    let stand = StandInDevices([
      .signed(pollReply(["bad"], payload: "5")), .signed(pollReply(["bad"], payload: "5")),
      .signed(pollReply(["good"])),
    ])
    let (reports, report) = AsyncStream<UnreadableSignal>.makeStream()
    let client = try deviceClient(stand.url)
    #expect(try await first(1, of: client.signals { report.yield($0) }) == ["good"])
    report.finish()
    var reported: [String?] = []
    for await signal in reports { reported.append(signal.id) }
    #expect(reported == ["bad"])
    #expect(stand.proofs.count == 3)
  }

  @Test
  func `Polls that bring nothing new begin a second apart, unless they waited`() async throws {
    let steps: [Step] = [
      .signed(pollReply(["a"])), .signed(pollReply(["a"])), .signed(emptyPoll), .signed(pollReply(["b"])),
    ]
    let system = TestSystem(stepMilliseconds: 300)
    let stand = StandInDevices(steps)
    #expect(try await first(2, of: deviceClient(stand.url, system).signals()) == ["a", "b"])
    #expect(system.pauses == [.milliseconds(700), .milliseconds(700)])
    let patient = TestSystem(stepMilliseconds: 25_000)
    let other = StandInDevices(steps)
    #expect(try await first(2, of: deviceClient(other.url, patient).signals()) == ["a", "b"])
    #expect(patient.pauses.isEmpty)
  }

  @Test
  func `An empty answer's Retry-After is honoured`() async throws {
    var busy = emptyPoll
    busy.fields.append(("Retry-After", "1"))
    let stand = StandInDevices([.signed(busy), .signed(pollReply(["a"]))])
    let system = TestSystem(stepMilliseconds: 25_000)
    #expect(try await first(1, of: deviceClient(stand.url, system).signals()) == ["a"])
    #expect(system.pauses.count == 1)
    #expect(try #require(system.pauses.first) >= .seconds(1))
  }

  @Test
  func `continue after more temporary failures than one request may have`() async throws {
    let failure = Step.unsigned(.problem(503, "unavailable", fields: [("Retry-After", "2")]))
    let stand = StandInDevices(
      [Step](repeating: failure, count: 9) + [.close, .clockSkew(serverTime: "2030-01-01T02:00:00.000Z")]
        + [.signed(pollReply(["a"]))])
    let system = TestSystem()
    #expect(try await first(1, of: deviceClient(stand.url, system).signals()) == ["a"])
    #expect(system.pauses.count == 10)
    #expect(system.pauses.dropLast().allSatisfy { $0 >= .seconds(2) })
    // The eighth pause is the first of the longest ones.
    #expect(system.pauses[8] >= .seconds(17) && system.pauses[8] <= .seconds(32))
  }

  @Test(arguments: [
    Step.unsigned(.problem(401, "signature-invalid")), .signed(.problem(401, "signature-invalid")),
  ])
  func `end with an error at a 401 that is final, signed or not`(step: Step) async throws {
    let stand = StandInDevices([.signed(pollReply(["a"])), step])
    let client = try deviceClient(stand.url)
    var iterator = client.signals().makeAsyncIterator()
    #expect(try await iterator.next()?.id == "a")
    do throws(RegistryClientError) {
      _ = try await iterator.next()
      Issue.record("the sequence continued")
    } catch { #expect(error.problem?.kind == "signature-invalid") }
    #expect(stand.registry.received.count == 2)
  }

  private static func suspended(until time: String) -> Step {
    .signed(.problem(403, "device-suspended", members: #","reason":null,"until":\#(time)"#))
  }

  @Test
  func `continue after a suspension that has an end`() async throws {
    let suspension = Self.suspended(until: #""2030-01-01T02:00:00.000Z""#)
    let stand = StandInDevices([Step](repeating: suspension, count: 6) + [.signed(pollReply(["a"]))])
    let system = TestSystem()
    #expect(try await first(1, of: deviceClient(stand.url, system).signals()) == ["a"])
    #expect(system.pauses.count == 6 && system.pauses[5] >= .seconds(4))
  }

  @Test(arguments: [
    suspended(until: "null"), .signed(.problem(403, "device-revoked")),
    .signed(.problem(403, "account-not-bound")),
    .signed(.problem(409, "device-in-use", members: #","since":"2030-01-01T02:00:00.000Z""#)),
  ])
  func `end with an error at a refusal that a person must end`(step: Step) async throws {
    let stand = StandInDevices([step, .signed(pollReply(["a"]))])
    let client = try deviceClient(stand.url)
    let error = await failure { () throws(RegistryClientError) in try await first(1, of: client.signals()) }
    #expect(error?.problem != nil)
    #expect(stand.registry.received.count == 1)
  }

  @Test
  func `take a lease over with the first poll that succeeds, and not again`() async throws {
    let stand = StandInDevices([
      .unsigned(.problem(503, "unavailable")), .signed(emptyPoll), .signed(pollReply(["a"])),
    ])
    let client = try deviceClient(stand.url, instance: "instance-1")
    #expect(try await first(1, of: client.signals(wait: 20, max: 5, takesOver: true)) == ["a"])
    let target = "/api/v1/device/poll?wait=20&max=5&instance=instance-1"
    #expect(stand.registry.received.map(\.target) == [target + "&takeover=1", target + "&takeover=1", target])
  }

  @Test
  func `end with an error at an answer that is not the registry's, and hand nothing of it out`() async throws {
    let stand = StandInDevices([.signedBadly(pollReply(["forged"]), .otherKey)])
    let client = try deviceClient(stand.url)
    #expect(
      await failure { () throws(RegistryClientError) in try await first(1, of: client.signals()) }?
        .isNotAuthentic == true)
  }

  @Test
  func `end when the task is cancelled`() async throws {
    let stand = StandInDevices([.silence])
    let client = try deviceClient(stand.url)
    let task = Task {
      await failure { () throws(RegistryClientError) in try await first(1, of: client.signals()) }
    }
    var arrivals = stand.registry.arrivals.makeAsyncIterator()
    _ = await arrivals.next()
    task.cancel()
    #expect(await task.value == .cancelled)
  }
}
