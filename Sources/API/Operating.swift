internal import Endpoints
internal import HTTP
internal import Registry

// The operations for monitoring, and the OpenAPI document.

extension API {
  /// The answer itself shows that the process runs.
  func health(_ caller: Anyone, _ input: NoInput) async throws(Problem) -> OK<Health> {
    OK(value: Health())
  }

  /// Throws `unavailable` while the database does not answer.
  func readiness(_ caller: Anyone, _ input: NoInput) async throws(Problem) -> OK<Health> {
    do throws(RegistryError) { try await services.store.ping() } catch { throw Problem(error) }
    return OK(value: Health())
  }

  func openAPI(_ caller: Anyone, _ input: NoInput) async throws(Problem) -> Document {
    Document(bytes: document)
  }
}

/// `{"status": "ok"}`.
struct Health: JSONObject {
  static let name: String? = "Health"

  static func describe(_ members: inout some Members<Self>) {
    members.add("status", ["const": "ok"]) { _ in "ok" }
  }
}

/// JSON that exists as bytes.
struct Document: Answer {
  let bytes: [UInt8]

  static let description = SuccessDescription(
    status: 200, meaning: "The document.", schema: ["type": "object"])

  func response() -> Response {
    let buffer = ByteBuffer(capacity: bytes.count)
    bytes.withUnsafeBufferPointer { buffer.append($0) }
    return Response(status: 200, contentType: "application/json", body: buffer)
  }
}
