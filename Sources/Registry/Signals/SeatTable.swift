/// Seats: at most one for each device, by device and by client, each client's in the order in which it took them. It
/// knows the client that has most. All operations take constant time, except those that return many seats.
struct SeatTable<Seat> {
  private typealias Places = LinkedLists<Place>
  private typealias Parties = LinkedLists<Party>

  private struct Place {
    let seat: Seat
    let device: DeviceID
    let party: Parties.Node
  }

  /// A client that has a seat.
  private struct Party {
    let client: ClientID
    var count = 0
    var places = Places.List()
  }

  private var places = Places()
  private var parties = Parties()
  private var placesByDevice: [DeviceID: Places.Node] = [:]
  private var partiesByClient: [ClientID: Parties.Node] = [:]
  /// The clients that have as many seats as the index says.
  private var partiesByCount = [Parties.List()]
  /// The seats of the client that has most.
  private var largestCount = 0

  var count: Int { placesByDevice.count }

  var all: [Seat] { placesByDevice.values.map { places[$0].seat } }

  subscript(device: DeviceID) -> Seat? { placesByDevice[device].map { places[$0].seat } }

  /// The client's seats, oldest first.
  func seats(of client: ClientID) -> [Seat] {
    guard let party = partiesByClient[client] else { return [] }
    return places.elements(of: parties[party].places).map(\.seat)
  }

  /// Adds the seat of a device that has none.
  mutating func insert(_ seat: Seat, for device: DeviceID, of client: ClientID) {
    let party = party(of: client)
    placesByDevice[device] = places.append(
      Place(seat: seat, device: device, party: party), to: &parties[party].places)
    changeCount(of: party, by: 1)
  }

  /// Removes and returns the device's seat.
  mutating func remove(_ device: DeviceID) -> Seat? {
    guard let node = placesByDevice.removeValue(forKey: device) else { return nil }
    let party = places[node].party
    let seat = places.remove(node, from: &parties[party].places).seat
    changeCount(of: party, by: -1)
    if parties[party].count == 0 {
      partiesByClient[parties.remove(party, from: &partiesByCount[0]).client] = nil
    }
    return seat
  }

  /// Removes and returns the oldest seat of the client that has most. That is `client` if no other has more: it must
  /// not take a seat from its equals.
  mutating func removeOldestOfMost(ratherOf client: ClientID) -> Seat? {
    let own = partiesByClient[client].flatMap { parties[$0].count == largestCount ? $0 : nil }
    guard let party = own ?? partiesByCount[largestCount].first, let oldest = parties[party].places.first
    else { return nil }
    return remove(places[oldest].device)
  }

  private mutating func party(of client: ClientID) -> Parties.Node {
    if let party = partiesByClient[client] { return party }
    let party = parties.append(Party(client: client), to: &partiesByCount[0])
    partiesByClient[client] = party
    return party
  }

  private mutating func changeCount(of party: Parties.Node, by change: Int) {
    let count = parties[party].count
    if count + change == partiesByCount.count { partiesByCount.append(Parties.List()) }
    parties.unlink(party, from: &partiesByCount[count])
    parties.link(party, to: &partiesByCount[count + change])
    parties[party].count += change
    if count + change > largestCount || count == largestCount && partiesByCount[count].isEmpty {
      largestCount = count + change
    }
  }
}

/// Doubly linked lists whose nodes share one array, so that adding and removing take constant time and seldom allocate.
struct LinkedLists<Element> {
  /// The index of an element, until it is removed.
  typealias Node = Int

  struct List {
    fileprivate(set) var first: Node?
    fileprivate var last: Node?
    var isEmpty: Bool { first == nil }
  }

  private struct Link {
    var element: Element?
    var before: Node?
    var after: Node?
  }

  private var links: [Link] = []
  /// The first unused node; `after` leads to the next.
  private var unused: Node?

  subscript(node: Node) -> Element {
    get { links[node].element! }
    _modify { yield &links[node].element! }
  }

  func elements(of list: List) -> [Element] {
    var elements: [Element] = []
    var next = list.first
    while let node = next {
      elements.append(self[node])
      next = links[node].after
    }
    return elements
  }

  mutating func append(_ element: Element, to list: inout List) -> Node {
    let node = unused ?? links.endIndex
    if node == links.endIndex {
      links.append(Link(element: element))
    } else {
      unused = links[node].after
      links[node].element = element
    }
    link(node, to: &list)
    return node
  }

  mutating func remove(_ node: Node, from list: inout List) -> Element {
    unlink(node, from: &list)
    defer { (links[node].element, links[node].after, unused) = (nil, unused, node) }
    return self[node]
  }

  /// Adds a node that is in no list at the end of this one.
  mutating func link(_ node: Node, to list: inout List) {
    (links[node].before, links[node].after) = (list.last, nil)
    if let last = list.last { links[last].after = node } else { list.first = node }
    list.last = node
  }

  /// Removes a node from its list, and keeps its element.
  mutating func unlink(_ node: Node, from list: inout List) {
    let (before, after) = (links[node].before, links[node].after)
    if let before { links[before].after = after } else { list.first = after }
    if let after { links[after].before = before } else { list.last = before }
  }
}
