import Encoding
import JSON
import Registry

@testable import API
@testable import Endpoints
@testable import HTTP

// The parts of a request that the API reads: its fields, its query, and bodies in JSON and as a form.

/// A query, read in the way of every route.
func feedQuery(_ input: [UInt8]) {
  guard let text = input.text else {
    demand(
      PercentEncoding.decode(UnsafeBufferPointer(rebasing: input.withUnsafeBufferPointer { $0[...] })) == nil
        || input.contains(UInt8(ascii: "%")), "bytes that are not UTF-8 become text")
    return
  }
  demand(same(PercentEncoding.decode(PercentEncoding.encode(text)[...]), text), "text is lost in encoding")
  if let decoded = PercentEncoding.decode(text[...]) {
    demand(
      same(PercentEncoding.decode(PercentEncoding.encode(decoded)[...]), decoded),
      "decoded text is lost in encoding")
  }
  testRouting(PercentEncoding.encode(text), standsFor: text)
  for endpoint in API.endpoints.operations
  where endpoint.input.parameters.contains(where: { $0.place == .query }) {
    let call = Call(request: request(query: text), endpoint: endpoint, pathParameters: [])
    for parameter in endpoint.input.parameters {
      guard let value = try? call.value(of: QueryParameter(parameter.name, in: 1...1000, "")) else { continue }
      demand((1...1000).contains(value), "a number outside its bounds")
    }
  }
  if let poll = try? call(request(query: text), of: API.pollPath).input(PollInput.self) {
    demand((0...30).contains(poll.waitSeconds) && (1...100).contains(poll.limit), "a poll outside its bounds")
  }
}

/// A segment of a path is found under its route, decoded once.
private func testRouting(_ segment: String, standsFor text: String) {
  guard !segment.isEmpty else { return }
  guard case .found(_, let parameters) = router.match(method: "GET", path: "/api/v1/clients/\(segment)"[...]),
    parameters.count == 1, same(parameters[0], text)
  else { fatalError("a segment of a path is not found, or read otherwise") }
}

/// A cursor: it is written back unchanged.
func feedCursor(_ input: [UInt8]) {
  guard let text = input.text else { return }
  testCursor(text, DeviceCursor.self, of: "/api/v1/devices")
  testCursor(text, SignalCursor.self, of: "/api/v1/signals")
  testCursor(text, ClientCursor.self, of: "/api/v1/clients")
  testCursor(text, DeliveryCursor.self, of: "/api/v1/webhooks/{id}/deliveries")
  testEventQuery(text)
  if let id = DeviceID(text) { demand(same(id.description, text.lowercased()), "an id is read otherwise") }
}

private func testCursor<Cursor: PageCursor & Equatable>(_ text: String, _ type: Cursor.Type, of path: String) {
  let page = try? call(request(path, query: "limit=7&cursor=\(PercentEncoding.encode(text))"), of: path)
    .input(PageInput<Cursor>.self)
  guard let cursor = page?.cursor else { return }
  demand(same(Base64URL.encode(cursor.bytes), text), "a cursor has a second spelling")
  guard let next = page?.link(to: cursor), let mark = next.firstIndex(of: "?"),
    let again = try? call(request(path, query: String(next[next.index(after: mark)...])), of: path)
      .input(PageInput<Cursor>.self)
  else { fatalError("the link to the next page cannot be read") }
  demand(again.cursor == cursor && again.limit == 7, "the link to the next page leads elsewhere")
}

/// The feed of events: where it begins is written back unchanged, and the types are those that exist, each once.
private func testEventQuery(_ text: String) {
  func read(_ name: String) -> EventQuery? {
    try? call(
      request("/api/v1/events", query: "\(name)=\(PercentEncoding.encode(text))"), of: "/api/v1/events"
    ).input(EventQuery.self)
  }
  if let query = read("after") {
    let written =
      switch query.start {
      case .after(let position): Base64URL.encode(position.bytes)
      case .now: "now"
      case .recent: "recent"
      case nil: fatalError("a feed has no beginning")
      }
    demand(same(written, text), "a position has a second spelling")
    demand(query.filter == .all, "a position is a filter")
  }
  if let query = read("types") {
    guard let types = query.filter.types else { fatalError("types are no filter") }
    demand(query.start == nil, "types are a position")
    demand(!types.isEmpty && Set(types).count == types.count, "no type, or one twice")
    demand(types.allSatisfy { EventFilter.types(matching: $0) == [$0] }, "a type that does not exist")
    let patterns = text.split(separator: ",")
    for type in types {
      demand(
        patterns.contains { $0 == type || ($0.hasSuffix(".*") && type.hasPrefix($0.dropLast())) },
        "a type that was not asked for")
    }
  }
  demand(read("cursor") == nil, "a parameter that does not exist is read")
  // Repeated deliveries begin at a position too, in a body.
  let body = json { $0.member("after", text) }
  let redelivery = try? call(
    request(fields: [("content-type", "application/json")], body: body), of: "/api/v1/webhooks/{id}/redeliver",
    method: "POST"
  ).input(Redelivery.self)
  if let redelivery {
    demand(same(Base64URL.encode(redelivery.position.bytes), text), "a position has a second spelling")
  }
}

/// A body, read by every route with a JSON body.
func feedJSON(_ input: [UInt8]) {
  let isJSON = (try? ParsedJSON(input, keepingRaw: ["payload"])) != nil
  let request = request(fields: [("content-type", "application/json")], body: input)
  func call(_ path: String) -> Call { fuzz.call(request, of: path, method: "POST") }
  if let device = try? call("/api/v1/devices").input(NewDevice.self) { testName(device.deviceName, isJSON) }
  if let client = try? call("/api/v1/clients").input(NewClient.self) {
    demand(isJSON, "a client of no JSON")
    demand(client.email.map { Email($0.text) == $0 } ?? true, "an invalid e-mail address")
  }
  if let signal = try? call("/api/v1/signals").input(NewSignal.self) {
    demand(
      signal.payload.first == UInt8(ascii: "{") && isObject(signal.payload), "a payload is no object")
    demand(Signal.lifetimeSeconds.contains(signal.lifetimeSeconds), "a lifetime outside its bounds")
  }
  if let acks = try? call("/api/v1/device/ack").input(Acknowledgements.self) {
    demand(isJSON && acks.acknowledgements.count <= Acknowledgement.maximumPerRequest, "more acks than may be")
  }
  let rotate = Call(
    request: request, endpoint: endpoint("/api/v1/devices/{id}/rotate", "POST"),
    pathParameters: ["0190a5c2-7d3e-7b1a-8c4d-5e6f70819203"])
  if let rotation = try? rotate.input(PathAndBody<DevicePath, Rotation>.self) {
    demand(DeviceService.graceSeconds.contains(rotation.body.graceSeconds), "a grace outside its bounds")
  }
  guard let text = input.text else { return }
  let written = json { $0.member("device_name", text) }
  do throws(JSONFault) {
    guard case .object(let object) = try ParsedJSON(written), case .string(let read) = object["device_name"]
    else { fatalError("what is written has another form") }
    demand(same(read, text), "what is written is read otherwise")
  } catch {
    demand(error == .member(path: ["device_name"], .containsNUL), "what is written is no JSON")
  }
}

/// A payload is as strict as the rest of a body.
private func isObject(_ bytes: [UInt8]) -> Bool {
  let body = Array(#"{"payload":"#.utf8) + bytes + Array("}".utf8)
  guard case .object(let object)? = try? ParsedJSON(body, keepingRaw: ["payload"]),
    case .raw(let payload)? = object["payload"]
  else { return false }
  return object.members.count == 1 && payload.elementsEqual(bytes)
}

/// A valid name is unchanged when it is parsed again, and is found in the JSON that is written.
private func testName(_ name: DeviceName, _ isJSON: Bool) {
  demand(isJSON, "a name of no JSON")
  demand((try? DeviceName(name.text)) == name, "a name changes when it is read again")
  let body = json { $0.member("device_name", name.text) }
  let again = try? call(
    request(fields: [("content-type", "application/json")], body: body), of: "/api/v1/devices", method: "POST"
  ).input(NewDevice.self)
  demand(again?.deviceName == name, "a name is lost in writing")
}

/// A form, and in its first line the HTTP Basic credentials.
func feedForm(_ input: [UInt8]) {
  let parts = lines(input, atMost: 2)
  guard parts.count == 2 else { return }
  let type = ("content-type", "application/x-www-form-urlencoded")
  let basic = String(decoding: parts[0], as: UTF8.self)
  let path = "/api/v1/device/token"
  let header = basic.isEmpty ? [type] : [type, ("authorization", "Basic " + basic)]
  _ = try? TokenRequest(of: call(request(fields: header, body: parts[1]), of: path, method: "POST"))

  // The id that is presented is the id that is read.
  guard let text = parts[1].text, !text.isEmpty else { return }
  let form =
    "grant_type=client_credentials&client_id=\(PercentEncoding.encode(text))"
    + "&client_secret=\(String(repeating: "0", count: 64))"
  guard
    let read = try? TokenRequest(
      of: call(request(fields: [type], body: Array(form.utf8)), of: path, method: "POST"))
  else { fatalError("a form cannot be read") }
  demand(read.deviceID == DeviceID(text) && read.secret != nil, "a form says something else")
}

/// The parts of a request that are read after its header section.
func testReading(of head: RequestHead) {
  let request = Request(
    id: "fuzz", method: head.method, target: head.originForm, fields: head.fields, body: .complete([]),
    client: stranger)
  demand(
    request.path.utf8.count + (request.query.map { $0.utf8.count + 1 } ?? 0) == head.originForm.utf8.count,
    "lost bytes")
  testClient(head.fields)
  _ = router.match(method: request.method, path: request.path)
  _ = try? request.bearerToken()
  _ = try? request.credentials(of: "basic")
  if let type = request.value(of: "content-type") { _ = Call.isJSON(type) }
}

/// `X-Forwarded-For`, as clients and proxies send it.
private func testClient(_ fields: HeaderFields) {
  demand(proxies.client(of: stranger, fields) == stranger, "a stranger chooses its address")
  let client = proxies.client(of: proxy, fields)
  demand(IPAddress(client.description) == client, "an address is read otherwise once written")
}

// MARK: Requests

private let stranger = IPAddress("192.0.2.1")!
private let proxy = IPAddress("10.0.0.1")!
private let proxies = try! TrustedProxies("10.0.0.0/8, 2001:db8::/32")

private let router = Router(API.routes)

private func endpoint(_ path: String, _ method: String) -> Operation {
  API.endpoints.operations.first { $0.path == path && $0.method == method }!
}

private func call(_ request: Request, of path: String, method: String = "GET") -> Call {
  Call(request: request, endpoint: endpoint(path, method), pathParameters: [])
}

private func request(
  _ path: String = "/", query: String? = nil, fields: [(String, String)] = [], body: [UInt8] = []
) -> Request {
  Request(
    id: "fuzz", method: "POST", target: path + (query.map { "?" + $0 } ?? ""),
    fields: headerFields(fields.map { (Array($0.0.utf8), Array($0.1.utf8)) }), body: .complete(body),
    client: stranger)
}

private func headerFields(_ fields: [(name: [UInt8], value: [UInt8])]) -> HeaderFields {
  let lines = fields.map { $0.name + Array(": ".utf8) + $0.value + Array("\r\n".utf8) }
  // If a line is malformed, there are no fields.
  return (try? HeaderFields(lines.joined() + Array("\r\n".utf8), maximumLines: 64)) ?? HeaderFields()
}

private func json(_ members: (inout JSONWriter) -> Void) -> [UInt8] {
  var writer = JSONWriter(buffer: ByteBuffer())
  writer.object(members)
  return writer.buffer.withBytes { Array($0) }
}

/// Byte for byte: Swift's strings are also equal if only their scalars differ.
private func same(_ left: String?, _ right: String) -> Bool { left?.utf8.elementsEqual(right.utf8) ?? false }
