/// Manages an owner's webhooks. Replaces this process with the program `device-registry-owner`.
enum WebhooksCommand {
  static let usage =
    "device-registry webhooks list | create RECEIVER | show ID | test ID | delete ID | enable ID --token-file FILE "
    + "[--FLAG VALUE ...]"

  static let help = """
    Manages the webhooks of a client: URLs to which the registry posts events. docs/webhooks.md tells how to receive them,
    and device-registry webhook listen is a receiver to try them.

    usage: device-registry webhooks list                prints id, status, URL and types, separated by tabs
           device-registry webhooks create RECEIVER     creates a webhook that posts to this URL, and prints its id
           device-registry webhooks show ID             prints the webhook as JSON
           device-registry webhooks test ID             posts a test event, and prints what the receiver answered as JSON;
                                                        the exit status is 1 if it did not accept
           device-registry webhooks delete ID           deletes the webhook
           device-registry webhooks enable ID           continues a disabled webhook after the last delivered event

    \(CommandLineInterface.columns([
      (secretFile, "create: a new file for the webhook's secret, which verifies deliveries and is not shown again"),
      (types, "create: types of events separated by commas; 'device.*' means all types of devices (default: all)"),
      (description, "create: a text that the webhook is listed with"),
    ] + CallingOwner.rows))

    examples:
      device-registry webhooks create https://example.com/hook --secret-file webhook-secret --token-file token
      device-registry webhooks list --token-file token
    """

  private static let (secretFile, types, description) = ("--secret-file", "--types", "--description")

  /// Returns only by throwing.
  static func run(_ arguments: [String], environment: [String: String]) throws {
    let action = arguments.first ?? ""
    let rest = Array(arguments.dropFirst())
    func parse(_ flags: [String] = [], words: [String]) throws(UsageError) -> Arguments {
      let arguments = try Arguments(
        rest, flags: CallingOwner.flags + flags, switches: CallingOwner.switches, environment: environment)
      try arguments.expectWords(words, usage: usage)
      return arguments
    }
    let parsed: Arguments
    var own: [String]
    switch action {
    case "list":
      parsed = try parse(words: [])
      own = []
    case "create":
      parsed = try parse([secretFile, types, description], words: ["RECEIVER"])
      guard let file = parsed.value(of: secretFile), !file.isEmpty else {
        throw UsageError("missing option \(secretFile): a new file for the webhook's secret")
      }
      own = [
        parsed.words[0], file, parsed.value(of: types) ?? "", parsed.value(of: description) ?? "",
      ]
    case "show", "test", "delete", "enable":
      parsed = try parse(words: ["ID"])
      own = [parsed.words[0]]
    case "": throw UsageError("missing argument list, create, show, test, delete or enable; usage: \(usage)")
    default:
      throw UsageError("the first argument must be list, create, show, test, delete or enable; usage: \(usage)")
    }
    try NeighbourProgram.owner.run([action] + (try CallingOwner.words(parsed, environment)) + own)
  }
}
