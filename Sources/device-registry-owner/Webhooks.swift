import Commands
import DeviceRegistryClient
import Foundation

// The commands on webhooks.

extension OwnerSession {
  private var webhookID: String { arguments.words[0] }

  func listWebhooks() async throws {
    try await output.print(
      owner.webhooks(),
      [
        Column("id") { .text($0.id) }, Column("status") { .painted($0.status.rawValue, $0.status.color) },
        Column("url", isFlexible: true) { .text($0.url) },
        Column("types", isFlexible: true) { .text($0.types?.joined(separator: ",") ?? "*") },
        Column("description", isFlexible: true, leavesOut: 1) { .text($0.description) },
      ])
  }

  /// Stores the secret in a new file, and prints the id.
  func createWebhook() async throws {
    let file = try NewSecretFile(arguments[.webhookSecretFile] ?? "", option: .webhookSecretFile)
    let created: CreatedWebhook
    do {
      created = try await owner.createWebhook(
        url: arguments.words[0],
        types: arguments[.types]?.split(separator: ",", omittingEmptySubsequences: false).map(String.init),
        description: arguments[.description], idempotencyKey: UUID().uuidString)
    } catch {
      file.remove()
      throw error
    }
    let id = created.webhook.id
    try file.write(
      created.secret, ifLost: "delete the webhook \(id), whose secret is lost, and create another one")
    try Terminal.printFields([id])
  }

  func showWebhook() async throws {
    try Terminal.print(try await owner.answer(to: .webhook(webhookID)).json)
  }

  func enableWebhook() async throws {
    let change = WebhookChange(isEnabled: true)
    try Terminal.print(try await owner.answer(to: .changeWebhook(webhookID, change)).json)
  }

  func deleteWebhook() async throws {
    try await owner.deleteWebhook(webhookID)
    try Terminal.printFields(["deleted \(webhookID)"])
  }

  func testWebhook() async throws {
    let (delivery, json) = try await owner.answer(to: .testWebhook(webhookID))
    try Terminal.print(json)
    guard delivery.isDelivered else { throw Failure("the receiver did not accept the event") }
  }
}

extension Webhook.Status {
  fileprivate var color: Cell.Color {
    switch self {
    case .active: .green
    case .failing: .yellow
    case .disabled: .red
    }
  }
}
