import Encoding

@testable import HTTP
@testable import RedisReplayStore
@testable import Server

/// Settings, which an operator may mistype: an accepted value keeps its meaning, and no password is printed.
func feedSettings(_ input: [UInt8]) {
  guard let text = input.text else { return }
  if let address = ListenAddress(text) {
    demand(ListenAddress(address.description) == address, "an address is read otherwise once written")
    demand(isPlain(address.host), "an invalid host")
  }
  if let origin = Origin(text) {
    demand(Origin(origin.description) == origin, "an origin is read otherwise once written")
    demand(isPlain(origin.authority), "an invalid authority")
  }
  if let url = DatabaseURL(text), case .postgres = url {
    demand("\(url)" == "postgresql", "a URL with a password is shown")
  }
  if let url = RedisURL(text) {
    demand("\(url)" == "<redacted>", "a URL with a password is shown")
    demand(isPlain(url.host) && url.port > 0, "an invalid host")
    demand(url.user.isEmpty || !url.password.isEmpty, "a user without a password")
  }
  if let address = IPAddress(text) {
    demand(IPAddress(address.description) == address, "an address is read otherwise once written")
    demand((try? TrustedProxies(text)) != nil, "an address that cannot be trusted")
  }
  _ = try? TrustedProxies(text)
  feedArguments(text)
}

/// A command line, one word per line. No setting that names a file: the fuzzer might find one.
private func feedArguments(_ text: String) {
  let words = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  let flags = Setting.allCases.map(\.flag)
  guard
    let arguments = try? Arguments(
      words, flags: flags, switches: [Configuration.insecureSwitch], environment: [:])
  else { return }
  demand(arguments.words.count <= words.count, "more words than there are")
  for setting in Setting.allCases {
    guard let value = arguments.value(of: setting), value != setting.declaration.defaultText else { continue }
    let isThere = words.contains { $0 == value || $0 == "\(setting.flag)=\(value)" }
    demand(isThere, "a value of \(setting.rawValue) that nobody gave")
    guard let number = try? arguments.number(of: setting) else { continue }
    demand((setting.declaration.bounds ?? 0...Int.max).contains(number), "a number outside its bounds")
  }
}

/// Visible ASCII, without the characters that end a host.
private func isPlain(_ text: String) -> Bool {
  !text.isEmpty && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"/?#@\\".utf8.contains($0) }
}
