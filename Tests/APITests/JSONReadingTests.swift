@testable import API
@testable import Endpoints
import HTTP
import TestSupport
import Testing

/// What a body must be before anything asks the registry: the store of these answers throws a fault, so
/// that a body that passes gives 500.
@Suite struct JSONReading {
  private let api = APIUnderTest()

  @Test(arguments: [
    "", " ", "{", #"{"device_name""#, #"{"device_name":"EA"#, #"{"device_name":"EA"}}"#, "nonsense", "{'a':1}",
    #"{"device_name":"\x"}"#, "\u{FEFF}{}",
    "{\"device_name\":\"a\nb\"}",
    "{\"device_name\":\"a\u{0}\"}", #"{"device_name":"EA",}"#,
  ])
  func `Text that is not JSON is malformed`(_ text: String) async throws {
    let answer = try await api.answer(toBody: Array(text.utf8))
    #expect(answer.status == 400)
    #expect(try answer.string("type") == "https://device-registry.example/problems/malformed-json")
  }

  @Test(arguments: [
    (#"{"device_name":"EA",}"#, "syntax error at byte 21."), (#"{"device_name":"EA""#, "ends before"),
    ("", "empty"), ("\u{FEFF}{}", "byte order mark"), ("{}\0", "StringToCharArray copies the terminating zero"),
    (#"{"device_name":\#(String(repeating: "[", count: 99))"#, "64 levels"),
  ])
  func `The detail says where the text is not JSON`(_ text: String, _ words: String) async throws {
    let answer = try await api.answer(toBody: Array(text.utf8))
    #expect(try answer.string("detail")?.contains(words) == true, "\(answer.text)")
  }

  @Test(arguments: [
    (#"{"payload":1,"all":true}"#, "`payload` must be an object."),
    (#"{"payl\u006fad":{"x":1},"payload":5,"all":true}"#, "`payload` must not be given twice."),
    (#"{"payload":{"a":[{"b":1,"b":1}]},"all":true}"#, "`payload.a.0.b` must not be given twice."),
    (#"{"payload":{"a":-1e400},"all":true}"#, "`payload.a` is a number outside the range of binary64."),
    (
      #"{"payload":{"a":"\ud800"},"all":true}"#,
      #"`payload.a` must not contain half of a surrogate pair, such as \ud800 alone."#
    ),
    (#"{"payload":{},"device_ids":"a"}"#, "`device_ids` must be an array."),
    (#"{"payload":{},"device_ids":[1]}"#, "`device_ids.0` must be a string."),
    (#"{"payload":{},"device_ids":[null]}"#, "`device_ids.0` must be a string."),
    (#"{"payload":{},"all":1}"#, "`all` must be true or false."),
    (#"{"payload":{},"all":true,"ttl_seconds":"1"}"#, "`ttl_seconds` must be an integer of 64 bits."),
  ])
  func `The detail says which member is wrong`(_ text: String, _ detail: String) async throws {
    let answer = try await api.answer(
      "POST", "/api/v1/signals", [("authorization", "Bearer t"), ("content-type", "application/json")],
      body: .complete(Array(text.utf8)))
    #expect(try answer.string("detail") == detail)
  }

  @Test(arguments: ["[]", #""EA""#, "1", "true", "null", #"[{"device_name":"EA"}]"#])
  func `JSON that is not an object is malformed`(_ text: String) async throws {
    let answer = try await api.answer(toBody: Array(text.utf8))
    #expect(answer.status == 400)
    #expect(try answer.object()["errors"] == nil)
  }

  @Test(arguments: [
    "{}", #"{"device_name":null}"#, #"{"device_name":1}"#, #"{"device_name":{}}"#, #"{"device_name":[]}"#,
    #"{"device_name":""}"#, #"{"device_name":"\u0000"}"#, #"{"device_name":"\ud800"}"#,
    #"{"device_name":"\u200b"}"#,
  ])
  func `A member that is missing or wrong is named`(_ text: String) async throws {
    let answer = try await api.answer(toBody: Array(text.utf8))
    #expect(answer.status == 400)
    #expect(try answer.string("type") == "https://device-registry.example/problems/invalid-value")
    let errors = try #require(try answer.object()["errors"] as? [[String: String]])
    #expect(errors.map { $0["field"] } == ["device_name"])
    #expect(errors[0]["message"]?.isEmpty == false)
  }

  @Test(
    arguments: [
      [0xFF, 0xFE], Array(#"{"device_name":""#.utf8) + [0xC3, 0x28] + Array(#""}"#.utf8),
      Array(#"{"device_name":""#.utf8) + [0xED, 0xA0, 0x80] + Array(#""}"#.utf8),
      Array(#"{"device_name":"EA"}"#.utf16).flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] },
      Array(#"{"device_name":"EA"}"#.utf16).flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] },
    ] as [[UInt8]])
  func `Bytes that are not UTF-8 are malformed`(_ bytes: [UInt8]) async throws {
    let answer = try await api.answer(toBody: bytes)
    #expect(answer.status == 400)
    #expect(try answer.string("type") == "https://device-registry.example/problems/malformed-json")
  }

  @Test(arguments: ["[", #"{"a":"#])
  func `Ten thousand levels are refused, and nothing breaks`(_ opening: String) async throws {
    let deep = #"{"device_name":"# + String(repeating: opening, count: 10_000)
    #expect(try await api.answer(toBody: Array(deep.utf8)).status == 400)
  }

  @Test(arguments: [
    "application/json", "Application/JSON", "application/json; charset=utf-8",
    "application/json;charset=\"UTF-8\"",
    "application/json ; charset=UTF-8 ", "application/json;", "application/json; ;charset=utf-8;",
  ])
  func `The media type is JSON in UTF-8`(_ contentType: String) async throws {
    #expect(
      try await api.answer(toBody: Array(#"{"device_name":"EA"}"#.utf8), contentType: contentType).status == 500
    )
  }

  @Test(arguments: [
    nil, "", "text/plain", "application/jsonp", "application/x-www-form-urlencoded",
    "application/json; charset=utf-16",
    "application/json, application/json", "application/json; a=b",
    "application/json;charset=utf-8;charset=utf-8",
    "application/problem+json",
  ])
  func `Another media type is not supported`(_ contentType: String?) async throws {
    let answer = try await api.answer(toBody: Array(#"{"device_name":"EA"}"#.utf8), contentType: contentType)
    #expect(answer.status == 415)
  }

  @Test(arguments: ["gzip", "identity", ""])
  func `A content encoding is not supported`(_ encoding: String) async throws {
    let answer = try await api.answer(
      "POST", "/api/v1/devices",
      [("authorization", "Bearer t"), ("content-type", "application/json"), ("content-encoding", encoding)],
      body: .complete(Array("{}".utf8)))
    #expect(answer.status == 415)
  }

  @Test func `An empty body without a type is malformed JSON`() async throws {
    #expect(try await api.answer(toBody: [], contentType: nil).status == 400)
    #expect(try await api.answer(toBody: [], contentType: "text/plain").status == 415)
  }

  @Test(arguments: [
    (#"{"telegram_id":"1"}"#, ["telegram_id"]), (#"{"telegram_id":9223372036854775808}"#, ["telegram_id"]),
    (#"{"telegram_id":1.5}"#, ["telegram_id"]), (#"{"email":"nobody"}"#, ["email"]), (#"{"id":""}"#, ["id"]),
    (#"{"id":"a b","email":"@"}"#, ["id", "email"]), (#"{"id":7}"#, ["id"]), (#"{"id":".."}"#, ["id"]),
  ])
  func `Every wrong member of a client is named`(_ text: String, _ fields: [String]) async throws {
    let answer = try await api.answer(
      "POST", "/api/v1/clients", [("authorization", "Bearer t"), ("content-type", "application/json")],
      body: .complete(Array(text.utf8)))
    #expect(answer.status == 400)
    let errors = try #require(try answer.object()["errors"] as? [[String: String]])
    #expect(errors.map { $0["field"] } == fields)
  }

  @Test(arguments: [
    (
      #"{"acks":[{"signal_id":"01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a","status":"placed"},{"signal_id":"x","status":1}]}"#,
      ["acks.1.signal_id", "acks.1.status"]
    ),
    (
      #"{"acks":[{"signal_id":"01936b2e-7c1f-7a4b-9c3d-2f1e0d9c8b7a","status":"done","error":"a\u0000"}]}"#,
      ["acks.0.error"]
    ),
    (#"{"acks":[{"status":"failed"}]}"#, ["acks.0.signal_id"]), (#"{"acks":[[]]}"#, ["acks.0"]),
    (#"{"acks":[\#(String(repeating: "1,", count: 100))1]}"#, ["acks"]),
  ])
  func `A nested member is named with its path`(_ text: String, _ fields: [String]) throws {
    #expect(throws: (any Error).self) { try Acknowledgements.body.read(Array(text.utf8)) }
    do throws(Problem) { _ = try Acknowledgements.body.read(Array(text.utf8)) } catch {
      #expect(error.errors.map(\.field) == fields)
    }
  }

  @Test(arguments: [
    #"{}"#, #"{"ticket":18446744073709551615,"x":1.50e3,"nul":"\u0000"}"#,
    "{ \"a\" : 1,\r\n\t\"b\":[ 2 ] }", #"{"é":"\u00e9"}"#,
  ])
  func `A payload is kept byte for byte`(_ payload: String) throws {
    let signal = try NewSignal.body.read(Array(#"{"all":true , "\u0070ayload" : \#(payload) }"#.utf8))
    #expect(signal.payload == Array(payload.utf8))
  }
}
