import Foundation
import TestSupport
import Testing

@Suite("The owner's commands on Telegram chats", .timeLimit(.minutes(2))) struct TelegramCommandTests {
  @Test func `A chat is linked with a code, listed, and cut off`() async throws {
    try await Bot.with(.sqlite) { bot in
      let owner = try await CommandLineOwner(at: bot.registry)
      let message = try await owner.output("telegram", "link")
      #expect(message.hasPrefix("/start "))
      try await bot.say(message.trimmingCharacters(in: .newlines), 42)
      let rows = try await owner.output("telegram", "list", "--output", "csv").split(separator: "\r\n")
      let row = try #require(rows.last).split(separator: ",", omittingEmptySubsequences: false)
      #expect(rows.count == 2 && row[1] == "42")
      #expect(try await owner.output("telegram", "unlink", String(row[0])) == "unlinked \(row[0])\n")
      #expect(try await owner.output("telegram", "list", "--output", "json") == "[]\n")
    }
  }

  @Test func `Without a bot the registry says so`() async throws {
    try await TestRegistry.with(await TestDatabase(.sqlite)) { registry in
      let result = try await CommandLineOwner(at: registry).run("telegram", "link")
      #expect(result.status == 1 && result.errors.contains("Telegram"), "\(result.errors)")
    }
  }
}
