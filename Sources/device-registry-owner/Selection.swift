import Commands
import DeviceRegistryClient
import Foundation
import Glibc

// Which devices a command is about.

extension OwnerSession {
  /// What the words and the options say: exactly one of names, --all, --group, --label and --ids-file.
  ///
  /// - Parameter words: names or ids of devices.
  func selector(_ words: some Collection<String>) async throws -> DeviceSelector {
    let options = [Option.all, .inGroup, .withLabel, .idsFile].filter(arguments.has)
    guard options.count + (words.isEmpty ? 0 : 1) == 1 else {
      throw UsageError(
        words.isEmpty
          ? "name devices, or one of \(Option.all.name), \(Option.inGroup.name), \(Option.withLabel.name) and "
            + Option.idsFile.name
          : "\(options[0].name) excludes names of devices")
    }
    if let group = arguments[.inGroup] { return .group(group) }
    if arguments.has(.withLabel) { return .labels(try labels(arguments.all(.withLabel), of: .withLabel)) }
    if let path = arguments[.idsFile] { return .devices(try await ids(of: try DeviceList(path).names)) }
    return words.isEmpty ? .all : .devices(try await ids(of: Array(words)))
  }

  /// Labels that are written as `key:value`.
  func labels(_ texts: [String], of option: Commands.Option) throws(UsageError) -> [String: String] {
    var labels: [String: String] = [:]
    for text in texts {
      let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2, !parts[0].isEmpty else { throw UsageError("\(option.name) must be KEY:VALUE") }
      guard labels.updateValue(parts[1], forKey: parts[0]) == nil else {
        throw UsageError("\(option.name) has \(parts[0]) twice")
      }
    }
    return labels
  }
}

/// A file with a name or an id of a device in each line. Empty lines, and lines that begin with #, do not count.
private struct DeviceList {
  let names: [String]

  /// As many devices as a selector may list, each with a name of 100 characters.
  private static let maximumDevices = 1000
  private static let maximumBytes = 1 << 20

  /// - Parameter path: - for standard input.
  init(_ path: String) throws(UsageError) {
    let content = try InputFile.read(path, option: .idsFile, maximumBytes: Self.maximumBytes)
    names = String(decoding: content, as: UTF8.self).split(whereSeparator: \.isNewline)
      .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty && !$0.hasPrefix("#") }
    guard (1...Self.maximumDevices).contains(names.count) else {
      throw UsageError(
        "\(Option.idsFile.name) \(path) has \(names.count) devices; it may have 1 to \(Self.maximumDevices): put more into a "
          + "group")
    }
  }
}

extension DeviceSelector {
  /// For a question: the devices that are meant.
  func text(_ count: Int) -> String {
    let devices = count == 1 ? "1 device" : "\(count) devices"
    switch self {
    case .devices: return devices
    case .all: return "all \(devices)"
    case .group(let name): return "\(devices) of the group \(name)"
    case .labels(let labels):
      let texts = labels.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }
      return "\(devices) with \(texts.joined(separator: " and "))"
    }
  }

  /// The filter of lists that has these devices, or more.
  var filter: DeviceFilter {
    switch self {
    case .devices, .all: DeviceFilter()
    case .group(let name): DeviceFilter(group: name)
    case .labels(let labels): DeviceFilter(labels: labels.map { "\($0.key):\($0.value)" })
    }
  }
}
