import API
import Foundation
import TestSupport
import Testing

@Suite struct OpenAPI {
  /// The document under review: a change to the API shows in it. `UPDATE_GOLDEN=1 swift test --filter OpenAPI`
  /// writes it again.
  private static let golden = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../docs/openapi.json").standardizedFileURL

  @Test func `The document is the one that was reviewed`() throws {
    let document = Data(API.openAPIDocument(publicURL: nil))
    if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1" { try document.write(to: Self.golden) }
    let isSame = try Data(contentsOf: Self.golden) == document
    #expect(isSame, "docs/openapi.json differs; UPDATE_GOLDEN=1 swift test --filter OpenAPI writes it again")
  }

  @Test func `The document names the public origin`() throws {
    let document = API.openAPIDocument(publicURL: "https://registry.example.com")
    let json = try JSONSerialization.jsonObject(with: Data(document)) as? [String: Any]
    let servers = json?["servers"] as? [[String: String]]
    #expect(servers == [["url": "https://registry.example.com"]])
  }

  @Test func `The document is served as it is`() async throws {
    let answer = try await APIUnderTest().answer("GET", "/openapi.json")
    #expect(answer.status == 200)
    #expect(answer.body == API.openAPIDocument(publicURL: nil))
  }

  @Test func `Every operation declares what every request may meet`() throws {
    let json = try JSONSerialization.jsonObject(with: Data(API.openAPIDocument(publicURL: nil)))
    let paths = try #require((json as? [String: Any])?["paths"] as? [String: [String: [String: Any]]])
    for (path, operations) in paths {
      for (method, operation) in operations {
        let statuses = Set((operation["responses"] as? [String: Any] ?? [:]).keys)
        #expect(statuses.isSuperset(of: ["400", "405", "413", "431", "500", "503"]), "\(method) \(path)")
        #expect((operation["tags"] as? [String])?.count == 1, "\(method) \(path)")
        let isOpen = (operation["security"] as? [Any])?.isEmpty == true
        #expect(isOpen || statuses.contains("401"), "\(method) \(path)")
      }
    }
  }
}
