import Foundation
import Registry
import TestSupport
import Testing

@testable import Webhooks

/// What docs/webhooks.md shows, in each language.
@Suite("The examples of docs/webhooks.md")
struct ExampleTests {
  struct Language: Sendable, CustomTestStringConvertible {
    let name: String
    let interpreter: String
    let before: String
    /// Prints a word for each delivery of the JSON file that the argument names.
    let after: String

    var testDescription: String { name }
  }

  static let languages = [
    Language(
      name: "python", interpreter: "/usr/bin/python3", before: "",
      after: """

        import json, sys
        for delivery in json.load(open(sys.argv[1])):
            try:
                verify(delivery["secret"], delivery["headers"], delivery["body"].encode())
                print("valid")
            except ValueError:
                print("refused")
        """),
    Language(
      name: "node", interpreter: "/usr/bin/node", before: "",
      after: """

        for (const delivery of JSON.parse(require("node:fs").readFileSync(process.argv[2]))) {
          try { verify(delivery.secret, delivery.headers, Buffer.from(delivery.body)); console.log("valid"); }
          catch { console.log("refused"); }
        }
        """),
    Language(
      name: "php", interpreter: "/usr/bin/php", before: "<?php\n",
      after: """

        foreach (json_decode(file_get_contents($argv[1]), true) as $delivery) {
            try { verify($delivery["secret"], $delivery["headers"], $delivery["body"]); echo "valid\\n"; }
            catch (Exception $error) { echo "refused\\n"; }
        }
        """),
  ]

  @Test(arguments: languages)
  func `verify what is delivered, and refuse all else`(language: Language) async throws {
    let document = try String(
      contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(
        path: "../../docs/webhooks.md"),
      encoding: .utf8)
    let parts = document.components(separatedBy: "<!-- tried: \(language.name) -->\n```")
    try #require(parts.count == 2)
    let code = parts[1].components(separatedBy: "```")[0].drop { $0 != "\n" }
    let directory = TemporaryDirectory()
    let (program, input) = ("\(directory.path)/program", "\(directory.path)/deliveries.json")
    try (language.before + code + language.after).write(toFile: program, atomically: true, encoding: .utf8)

    let body = #"{"type": "device.revoked", "reason": "Zoë's"}"#
    let now = TestClock().now()
    let (secret, other) = (try testSecret(Array(1...32)), try testSecret(Array(2...33)))
    let valid = secret.fields(of: body, at: now)
    let several = valid.merging(["webhook-signature": "v2,AAAA v1,AAAA \(valid["webhook-signature"]!)"]) { $1 }
    let deliveries: [[String: Any]] = [
      ["secret": secret.text, "headers": valid, "body": body],
      ["secret": secret.text, "headers": several, "body": body],
      ["secret": other.text, "headers": valid, "body": body],
      ["secret": secret.text, "headers": valid, "body": body + " "],
      ["secret": secret.text, "headers": secret.fields(of: body, at: now + -400_000), "body": body],
      ["secret": secret.text, "headers": secret.fields(of: body, at: now + 400_000), "body": body],
      ["secret": secret.text, "headers": valid.merging(["webhook-id": "x"]) { $1 }, "body": body],
      ["secret": secret.text, "headers": valid.merging(["webhook-signature": "v1,"]) { $1 }, "body": body],
    ]
    try JSONSerialization.data(withJSONObject: deliveries).write(to: URL(fileURLWithPath: input))
    let result = try await Program.run(
      [program, input], ["PATH=/usr/bin:/bin"], executable: language.interpreter)
    #expect(result.errors == "")
    #expect(
      result.output.split(separator: "\n") == ["valid", "valid"] + Array(repeating: "refused", count: 6))
  }
}
