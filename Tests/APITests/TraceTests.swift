@testable import API
import Testing

/// W3C Trace Context, level 1: the trace id that the log shows.
@Suite struct Traces {
  private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
  private static let parent = "00f067aa0ba902b7"

  @Test(arguments: ["00-\(trace)-\(parent)-01", "00-\(trace)-\(parent)-ff", "cc-\(trace)-\(parent)-01-more"])
  func `A valid field gives its trace, also of later versions`(_ field: String) {
    #expect(TraceID(traceparent: field)?.description == Self.trace)
  }

  @Test(arguments: [
    "", "00", "00-\(trace)-\(parent)", "00-\(trace)-\(parent)-01-", "00-\(trace)-\(parent)-01-more",
    "00-\(trace)-\(parent)-0", "00-\(trace)-\(parent)-1g", "ff-\(trace)-\(parent)-01",
    "cc-\(trace)-\(parent)-01more", "0g-\(trace)-\(parent)-01", " 00-\(trace)-\(parent)-01",
    "00-\(String(repeating: "0", count: 32))-\(parent)-01",
    "00-\(trace)-0000000000000000-01", "00-\(trace.uppercased())-\(parent)-01",
    "00-\(trace)-\(parent.uppercased())-01", "00_\(trace)_\(parent)_01", "00-\(trace.dropLast())é-\(parent)-01",
  ])
  func `An invalid field is ignored`(_ field: String) {
    #expect(TraceID(traceparent: field) == nil)
  }

  @Test func `A request's trace is reported; where there are two, none is`() async throws {
    let api = APIUnderTest()
    let field = ("traceparent", "00-\(Self.trace)-\(Self.parent)-01")
    _ = try await api.answer("GET", "/healthz", [field])
    _ = try await api.answer("GET", "/healthz", [field, field])
    _ = try await api.answer("GET", "/healthz", [])
    #expect(api.answered.map { $0.traceID?.description } == [Self.trace, nil, nil])
  }
}
