/// Follows an owner's events. Replaces this process with the program `device-registry-owner`.
enum EventsCommand {
  static let usage = "device-registry events follow --token-file FILE [--FLAG VALUE ...]"

  static let help = """
    Prints what happens to a client's devices, signals and webhooks, as it happens. Ends with SIGINT (Ctrl-C) or SIGTERM,
    and prints the cursor to continue at to standard error. Retries when the registry cannot be reached.

    usage: \(usage)

    \(CommandLineInterface.columns([
      (after, "begin after this cursor (default: with what happens from now on)"),
      (fromStart, "begin with the oldest event that is kept"),
      (cursorFile, "continue where this file says, if it exists, and store the cursor there after each page"),
      (types, "types separated by commas; 'device.*' means all types of devices (default: all)"),
      (device, "only events of the device with this id"),
      (output, "text: time, type, device, actor and changes, separated by tabs (default);"),
      ("", "json: one event per line, as GET /api/v1/events has it"),
    ] + CallingOwner.rows))

    The events that were printed last may be printed again if the program is killed before it stores their cursor.

    examples:
      device-registry events follow --token-file token
      device-registry events follow --token-file token --from-start --types 'device.*' --output json
      device-registry events follow --token-file token --from-start --cursor-file events.cursor
    """

  private static let (after, fromStart, cursorFile) = ("--after", "--from-start", "--cursor-file")
  private static let (types, device, output) = ("--types", "--device", "--output")

  /// Returns only by throwing.
  static func run(_ arguments: [String], environment: [String: String]) throws {
    let arguments = try Arguments(
      arguments, flags: CallingOwner.flags + [after, cursorFile, types, device, output],
      switches: CallingOwner.switches + [fromStart], environment: environment)
    switch arguments.words.first {
    case "follow": try arguments.expectWords(["follow"], usage: usage)
    case nil: throw UsageError("missing argument follow; usage: \(usage)")
    default: throw UsageError("the first argument must be follow; usage: \(usage)")
    }
    for flag in [after, cursorFile, types, device] where arguments.value(of: flag)?.isEmpty == true {
      throw UsageError("\(flag) must not be empty")
    }
    guard !arguments.has(after) || !arguments.has(fromStart) else {
      throw UsageError("\(after) and \(fromStart) exclude each other")
    }
    let format = arguments.value(of: output) ?? "text"
    guard ["text", "json"].contains(format) else { throw UsageError("\(output) must be text or json") }
    let place = try CallingOwner.words(arguments, environment)
    try NeighbourProgram.owner.run(
      ["follow"] + place + [
        arguments.has(fromStart) ? "start" : "", arguments.value(of: after) ?? "",
        arguments.value(of: cursorFile) ?? "", arguments.value(of: types) ?? "",
        arguments.value(of: device) ?? "", format,
      ])
  }
}
