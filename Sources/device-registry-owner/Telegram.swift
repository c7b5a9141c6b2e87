import Commands
import DeviceRegistryClient
import Foundation

// The commands on linked Telegram chats.

extension OwnerSession {
  /// Prints the message that links a chat.
  func createTelegramCode() async throws {
    let made = try await owner.createTelegramCode(idempotencyKey: UUID().uuidString)
    try Terminal.printFields(["/start \(made.code)"])
    if let bot = made.bot { Terminal.say("send this to @\(bot) on Telegram") }
  }

  func listTelegramLinks() async throws {
    try await output.print(
      owner.listTelegramLinks(), json: nil,
      [
        Column("id") { .text($0.id) }, Column("user_id") { .text(String($0.userID)) },
        Column("created_at") { .time($0.createdAt) }, Column("muted_until") { .time($0.mutedUntil) },
      ])
  }

  func deleteTelegramLink() async throws {
    try await owner.deleteTelegramLink(arguments.words[0])
    try Terminal.printFields(["unlinked \(arguments.words[0])"])
  }
}
