internal import Glibc

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
      (url, "the registry's scheme, host and port (default: \(defaultURL))"),
      (wait, "poll: seconds to wait for a signal, 0 to 30 (default: \(defaultWait))"),
      (max, "poll: signals at most, 1 to 100 (default: \(defaultMax))"),
      (status, "ack: placed, failed or skipped"),
      (brokerTicket, "ack: the broker's number of the order"),
      (error, "ack: why the order was not placed"),
      (caFile, "PEM certificates to trust instead of the system's (default: the file in SSL_CERT_FILE)"),
      (insecureHTTP, "allow plain HTTP to another machine, which others on the network can read"),
    ]))

    examples:
      device-registry device poll --id 01a20a5b-1476-7edc-b467-b5e73ebe5877 --secret-file secret --wait 30
    """

  private static let (id, secretFile, url) = ("--id", "--secret-file", "--url")
  private static let (wait, max) = ("--wait", "--max")
  private static let (status, brokerTicket, error) = ("--status", "--broker-ticket", "--error")
  private static let (caFile, insecureHTTP) = ("--ca-file", "--insecure-http")
  private static let defaultURL = "http://localhost:8000"
  private static let (defaultWait, defaultMax) = (0, 100)

  /// Returns only by throwing.
  static func run(_ arguments: [String]) throws {
    try become(program: "device-registry-device", try programArguments(arguments))
  }

  /// The program's arguments, by position: the action, the registry and the device, then what the action needs.
  private static func programArguments(_ arguments: [String]) throws(UsageError) -> [String] {
    let common = [id, secretFile, url, caFile]
    let action = arguments.first ?? ""
    let rest = Array(arguments.dropFirst())
    func parse(_ flags: [String], words: [String] = []) throws(UsageError) -> Arguments {
      let arguments = try Arguments(rest, flags: common + flags, switches: [insecureHTTP], environment: [:])
      try arguments.expectWords(words, usage: usage)
      return arguments
    }
    switch action {
    case "whoami":
      return [action] + (try place(parse([])))
    case "poll":
      let arguments = try parse([wait, max])
      return [action] + (try place(arguments)) + [
        try number(arguments, wait, default: defaultWait), try number(arguments, max, default: defaultMax),
      ]
    case "ack":
      let arguments = try parse([status, brokerTicket, error], words: ["SIGNAL_ID"])
      return [action] + (try place(arguments)) + [
        arguments.words[0], try requiredValue(arguments, status, "placed, failed or skipped"),
        arguments.value(of: brokerTicket) ?? "", arguments.value(of: error) ?? "",
      ]
    case "": throw UsageError("missing argument whoami, poll or ack; usage: \(usage)")
    default: throw UsageError("the first argument must be whoami, poll or ack; usage: \(usage)")
    }
  }

  private static func place(_ arguments: Arguments) throws(UsageError) -> [String] {
    [
      arguments.value(of: url) ?? defaultURL, arguments.has(insecureHTTP) ? "insecure" : "secure",
      arguments.value(of: caFile) ?? "",
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

  /// Replaces this process with a program from the same folder.
  private static func become(program: String, _ arguments: [String]) throws {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let length = readlink("/proc/self/exe", &buffer, buffer.count)
    guard length > 0 else { throw ProgramMissing(description: "cannot find \(program): /proc is not mounted") }
    let own = String(decoding: buffer[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let path = own.prefix(through: own.lastIndex(of: "/") ?? own.startIndex) + program
    var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    execv(String(path), &words)
    let cause = String(cString: strerror(errno))
    for word in words { free(word) }
    throw ProgramMissing(
      description: "cannot start \(path) (\(cause)): install it in the same folder as device-registry")
  }
}

/// The program is missing from the installation.
private struct ProgramMissing: Error, CustomStringConvertible {
  let description: String
}
