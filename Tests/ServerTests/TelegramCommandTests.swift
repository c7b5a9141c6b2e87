import Foundation
import TestSupport
import Testing

@Suite("The owner's commands on Telegram chats", .timeLimit(.minutes(2))) struct TelegramCommandTests {
  @Test func `A chat is linked with a code, listed, and cut off`() async throws {
    try await TelegramServer.with { telegram in
      let database = await TestDatabase(.sqlite)
      let file = database.directory.path + "/bot-token"
      try Data(TelegramServer.token.utf8).write(to: URL(filePath: file))
      let settings = ["TELEGRAM_BOT_TOKEN_FILE": file, "TELEGRAM_API_URL": telegram.url]
      try await TestRegistry.with(database, settings: settings) { registry in
        let owner = try await CommandLineOwner(at: registry)
        let message = try await owner.output("telegram", "link")
        #expect(message.hasPrefix("/start "))
        telegram.write(message.trimmingCharacters(in: .newlines), from: 42)
        try await registry.until("the chat is linked") { !telegram.messages(in: 42).isEmpty }
        let rows = try await owner.output("telegram", "list", "--output", "csv").split(separator: "\r\n")
        let row = try #require(rows.last).split(separator: ",", omittingEmptySubsequences: false)
        #expect(rows.count == 2 && row[1] == "42")
        #expect(try await owner.output("telegram", "unlink", String(row[0])) == "unlinked \(row[0])\n")
        #expect(try await owner.output("telegram", "list", "--output", "json") == "[]\n")
      }
    }
  }

  @Test func `Without a bot the registry says so`() async throws {
    try await TestRegistry.with(await TestDatabase(.sqlite)) { registry in
      let result = try await CommandLineOwner(at: registry).run("telegram", "link")
      #expect(result.status == 1 && result.errors.contains("Telegram"), "\(result.errors)")
    }
  }
}
