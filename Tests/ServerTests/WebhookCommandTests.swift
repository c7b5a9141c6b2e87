import Foundation
import TestSupport
import Testing

@Suite("device-registry webhook", .timeLimit(.minutes(2))) struct WebhookCommandTests {
  private let directory = TemporaryDirectory()
  private let secret = "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="

  private func write(_ text: String) throws -> String {
    let path = "\(directory.path)/secret"
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    return path
  }

  @Test func `Listens, prints what verifies, and refuses all else`() async throws {
    let program = try Program([
      "webhook", "listen", "--listen", "127.0.0.1:0", "--secret-file", try write("\(secret)\n"),
    ])
    let line = try await program.errorLine(containing: "listening at")
    let port = try #require(UInt16(line.split(separator: ":").last!.dropLast()))
    let client = HTTPClient(port: port)
    let body = Array(#"{"type":"device.revoked"}"#.utf8)
    // Made by another implementation.
    let sign = """
      import base64, hashlib, hmac, sys, time
      now = str(int(time.time()))
      key = base64.b64decode(sys.argv[1].removeprefix("whsec_"))
      print(now, "v1," + base64.b64encode(hmac.new(key, f"id-1.{now}.".encode() + sys.argv[2].encode(), hashlib.sha256).digest()).decode())
      """
    let signed = try await Program.run(
      ["-c", sign, secret, String(decoding: body, as: UTF8.self)], executable: "/usr/bin/python3"
    ).output.split(whereSeparator: \.isWhitespace).map(String.init)
    let fields = [("webhook-id", "id-1"), ("webhook-timestamp", signed[0]), ("webhook-signature", signed[1])]
    let valid = try await client.send("POST", "/hook", fields: fields, body: body)
    #expect(valid.status == 204)
    #expect(await program.outputLine() == #"{"type":"device.revoked"}"#)
    #expect(try await client.send("POST", "/hook", fields: fields, body: body + [32]).status == 401)
    _ = try await program.errorLine(containing: "refused: no signature matches")
    #expect(try await client.send("POST", "/hook", fields: [], body: body).status == 401)
    #expect(try await client.send("GET", "/").status == 405)
    program.send(SIGTERM)
    #expect(await program.end().status == 0)
  }

  @Test(arguments: [
    [], ["list"], ["listen"], ["listen", "--secret-file", "/nowhere"], ["listen", "--listen", "nonsense"],
  ])
  func `Says which argument is wrong`(arguments: [String]) async throws {
    let result = try await Program.run(["webhook"] + arguments, ["WEBHOOK_SECRET=nonsense"])
    #expect(result.status == 2 && result.errors.hasPrefix("device-registry: "))
    #expect(!result.errors.contains("nonsense"))
  }
}
