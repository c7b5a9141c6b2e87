import TestSupport
import Testing

@testable import Registry

@Suite("A table of seats") struct SeatTableTests {
  private static let clients = ["alice", "bob", "carol", "dave"].map { ClientID($0)! }

  /// The same in an array: what is oldest is first.
  private struct Model {
    var seats: [(device: DeviceID, client: ClientID, seat: Int)] = []

    func count(of client: ClientID) -> Int { seats.count { $0.client == client } }

    mutating func remove(_ device: DeviceID) -> Int? {
      seats.firstIndex { $0.device == device }.map { seats.remove(at: $0).seat }
    }
  }

  @Test
  func `knows each device's seat, each client's in order, and who has most`() {
    var random = SeededGenerator(seed: 11)
    var (table, model) = (SeatTable<Int>(), Model())
    for number in 0..<20_000 {
      let device = DeviceID(high: 1, low: random.next() % 40)
      let client = Self.clients[Int(device.low % 4)]
      switch random.next() % 8 {
      case 0:
        let most = Self.clients.map(model.count).max()!
        let lost = table.removeOldestOfMost(ratherOf: client)
        guard let place = model.seats.firstIndex(where: { $0.seat == lost }) else {
          #expect(lost == nil && most == 0)
          continue
        }
        let loser = model.seats[place].client
        #expect(model.count(of: loser) == most)
        #expect(loser == client || model.count(of: client) < most)
        #expect(model.seats.first { $0.client == loser }?.seat == lost)
        model.seats.remove(at: place)
      case 1...3: #expect(table.remove(device) == model.remove(device))
      default:
        #expect(table[device] == model.seats.first { $0.device == device }?.seat)
        guard table[device] == nil else { continue }
        table.insert(number, for: device, of: client)
        model.seats.append((device, client, number))
      }
      #expect(table.count == model.seats.count)
      #expect(table.seats(of: client) == model.seats.filter { $0.client == client }.map(\.seat))
    }
    #expect(table.all.sorted() == model.seats.map(\.seat).sorted())
  }
}
