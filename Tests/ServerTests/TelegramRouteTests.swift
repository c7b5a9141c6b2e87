import Foundation
import TestSupport
import Testing

extension DeviceRegistry {
  @Suite("Telegram, without a bot") struct TelegramRoutes {
    @Test(arguments: DatabaseKind.allCases)
    func `No code is created, and the console shows nothing of it`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let answer = try await registry.ask("POST", "/api/v1/telegram/link", as: owner)
      #expect(answer.status == 409)
      #expect(try TestRegistry.kind(answer) == "telegram-not-configured")
      #expect(try await registry.ask("GET", "/api/v1/telegram/links", as: owner).array().isEmpty)
      let unknown = "/api/v1/telegram/links/\(UUID().uuidString.lowercased())"
      let gone = try await registry.ask("DELETE", unknown, as: owner)
      #expect(try TestRegistry.kind(gone) == "telegram-link-not-found")
      let settings = try await registry.client.send("GET", "/console/config.json")
      #expect(settings.status == 200 && !settings.text.contains("telegram"), "\(settings.text)")
    }
  }
}
