import DeviceRegistryClient
import Foundation
import Glibc

/// The program that `device-registry device` starts.
enum DeviceProgram {
  /// Runs an action and returns the exit status: 0 for success, 1 for a failure, 2 for a wrong argument. Prints the
  /// registry's answer to standard output and errors to standard error.
  static func run(_ arguments: [String]) async -> Int32 {
    guard arguments.count >= placeCount else {
      return fail("use device-registry device, which starts this program", status: 2)
    }
    do {
      var answer = try await perform(
        arguments[0], at: arguments[1..<placeCount], Array(arguments[placeCount...]))
      answer.append(UInt8(ascii: "\n"))
      FileHandle.standardOutput.write(answer)
      return 0
    } catch {
      switch error {
      case .invalidURL, .invalidArgument, .secretFile: return fail(error.description, status: 2)
      default: return fail(error.description, status: 1)
      }
    }
  }

  /// Action, URL, whether plain HTTP is allowed, file of the certificates to trust or nothing, id, file of the secret.
  private static let placeCount = 6

  private static func perform(
    _ action: String, at place: ArraySlice<String>, _ arguments: [String]
  ) async throws(RegistryClientError) -> Data {
    let place = Array(place)
    let device = try DeviceClient(
      url: place[0], credentials: DeviceCredentials(id: place[3], secretFile: place[4]),
      allowsInsecureHTTP: place[1] == "insecure", caFile: unlessEmpty(place[2]))
    switch (action, arguments.count) {
    case ("whoami", 0): return try await device.whoamiJSON()
    case ("poll", 2):
      return try await device.pollJSON(wait: Int(arguments[0]) ?? -1, max: Int(arguments[1]) ?? -1)
    case ("ack", 4): return try await device.acknowledgeJSON([acknowledgement(arguments)])
    default:
      throw .invalidArgument(
        name: action,
        message: "is unknown; device-registry and device-registry-device must have the same version")
    }
  }

  private static func acknowledgement(_ arguments: [String]) throws(RegistryClientError) -> Acknowledgement {
    guard let status = Acknowledgement.Status(rawValue: arguments[1]) else {
      let known = Acknowledgement.Status.allCases.map(\.rawValue).joined(separator: ", ")
      throw .invalidArgument(name: "--status", message: "must be one of \(known)")
    }
    return Acknowledgement(
      signalID: arguments[0], status: status, brokerTicket: unlessEmpty(arguments[2]),
      error: unlessEmpty(arguments[3]))
  }

  private static func unlessEmpty(_ text: String) -> String? { text.isEmpty ? nil : text }

  private static func fail(_ text: String, status: Int32) -> Int32 {
    var line = "device-registry: \(text)\n"
    line.withUTF8 { _ = write(STDERR_FILENO, $0.baseAddress!, $0.count) }
    return status
  }
}
