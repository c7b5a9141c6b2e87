internal import Commands

/// Calls a registry as a device. Replaces this process with the program `device-registry-device`.
enum DeviceCommand {
  static let usage =
    "device-registry device whoami | poll | ack SIGNAL_ID --id ID --secret-file FILE [--FLAG VALUE ...]"

  static let help = """
    Calls a registry as a device: signs a request, verifies the answer's signature and prints the answer as JSON.

    usage: device-registry device whoami              prints the device as the registry knows it
           device-registry device poll                prints the signals that are not acknowledged
           device-registry device ack SIGNAL_ID       acknowledges a signal

    \(CommandLineInterface.columns([
      (id, "the device's id"),
      (secretFile, "file with the device's secret; only its owner may have access to it"),
      CalledRegistry.urlRow,
      (wait, "poll: seconds to wait for a signal, 0 to 30 (default: \(defaultWait))"),
      (max, "poll: signals at most, 1 to 100 (default: \(defaultMax))"),
      (status, "ack: placed, failed or skipped"),
      (brokerTicket, "ack: the broker's number of the order"),
      (error, "ack: why the order was not placed"),
    ] + CalledRegistry.connectionRows))

    examples:
      device-registry device poll --id 01a20a5b-1476-7edc-b467-b5e73ebe5877 --secret-file secret --wait 30
    """

  private static let (id, secretFile) = ("--id", "--secret-file")
  private static let (wait, max) = ("--wait", "--max")
  private static let (status, brokerTicket, error) = ("--status", "--broker-ticket", "--error")
  private static let (defaultWait, defaultMax) = (0, 100)

  /// Returns only by throwing.
  static func run(_ arguments: [String], environment: [String: String]) throws {
    try NeighbourProgram.device.run(try programArguments(arguments, environment))
  }

  /// The program's arguments, by position: the action, the registry and the device, then what the action needs.
  private static func programArguments(
    _ arguments: [String], _ environment: [String: String]
  ) throws(UsageError) -> [String] {
    let common = CalledRegistry.flags + [id, secretFile]
    let action = arguments.first ?? ""
    let rest = Array(arguments.dropFirst())
    func parse(_ flags: [String], words: [String] = []) throws(UsageError) -> Arguments {
      let arguments = try Arguments(
        rest, flags: common + flags, switches: CalledRegistry.switches, environment: environment)
      try arguments.expectWords(words, usage: usage)
      return arguments
    }
    switch action {
    case "whoami":
      return [action] + (try place(parse([]), environment))
    case "poll":
      let arguments = try parse([wait, max])
      return [action] + (try place(arguments, environment)) + [
        try number(arguments, wait, default: defaultWait), try number(arguments, max, default: defaultMax),
      ]
    case "ack":
      let arguments = try parse([status, brokerTicket, error], words: ["SIGNAL_ID"])
      return [action] + (try place(arguments, environment)) + [
        arguments.words[0], try requiredValue(arguments, status, "placed, failed or skipped"),
        arguments.value(of: brokerTicket) ?? "", arguments.value(of: error) ?? "",
      ]
    case "": throw UsageError("missing argument whoami, poll or ack; usage: \(usage)")
    default: throw UsageError("the first argument must be whoami, poll or ack; usage: \(usage)")
    }
  }

  private static func place(
    _ arguments: Arguments, _ environment: [String: String]
  ) throws(UsageError) -> [String] {
    CalledRegistry.words(arguments, environment) + [
      try requiredValue(arguments, id, "the device's id"),
      try requiredValue(arguments, secretFile, "the file with the device's secret"),
    ]
  }

  private static func requiredValue(_ arguments: Arguments, _ flag: String, _ meaning: String)
    throws(UsageError)
    -> String
  {
    guard let value = arguments.value(of: flag), !value.isEmpty else {
      throw UsageError("missing option \(flag): \(meaning)")
    }
    return value
  }

  private static func number(_ arguments: Arguments, _ flag: String, default defaultNumber: Int)
    throws(UsageError)
    -> String
  {
    guard let text = arguments.value(of: flag) else { return String(defaultNumber) }
    guard let number = Int(text) else { throw UsageError("\(flag): \(text) is not a whole number") }
    return String(number)
  }
}
