import Glibc

/// A parser of untrusted input, and the properties that must hold for every input. Crashes, leaks and hangs are found
/// by the fuzzer and Address Sanitizer.
enum FuzzTarget: String, CaseIterable {
  case structuredField = "structured-field"
  case signedRequest = "signed-request"
  case signedResponse = "signed-response"
  case json
  case token
  case keySet = "key-set"
  case cursor
  case query
  case form
  case connection
  case tlsRecords = "tls-records"
  case settings
  case webhook

  func feed(_ input: [UInt8]) {
    switch self {
    case .structuredField: feedStructuredField(input)
    case .signedRequest: feedSignedRequest(input)
    case .signedResponse: feedSignedResponse(input)
    case .json: feedJSON(input)
    case .token: feedToken(input)
    case .keySet: feedKeySet(input)
    case .cursor: feedCursor(input)
    case .query: feedQuery(input)
    case .form: feedForm(input)
    case .connection: feedConnection(input)
    case .tlsRecords: feedTLSRecords(input)
    case .settings: feedSettings(input)
    case .webhook: feedWebhook(input)
    }
  }

  /// The target that `FUZZ_TARGET` names.
  static let chosen: FuzzTarget = {
    let name = getenv("FUZZ_TARGET").map { String(cString: $0) } ?? ""
    guard let target = FuzzTarget(rawValue: name) else {
      fatalError("FUZZ_TARGET must be one of " + allCases.map(\.rawValue).joined(separator: ", "))
    }
    return target
  }()
}

/// libFuzzer calls this repeatedly.
@_cdecl("LLVMFuzzerTestOneInput")
public func feedChosenTarget(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  FuzzTarget.chosen.feed(Array(UnsafeBufferPointer(start: start, count: count)))
  return 0
}

/// Ends the run and keeps the input if a property does not hold. (`precondition` would not print which.)
func demand(_ holds: Bool, _ what: @autoclosure () -> String) {
  guard holds else { fatalError(what()) }
}

/// The input's lines without their ends, for inputs with several parts.
func lines(_ input: [UInt8], atMost count: Int) -> [[UInt8]] {
  input.split(separator: UInt8(ascii: "\n"), maxSplits: count - 1, omittingEmptySubsequences: false)
    .map(Array.init)
}

extension [UInt8] {
  /// Nil where they are not UTF-8.
  var text: String? { String(validating: self, as: UTF8.self) }

  func startsWith(_ text: StaticString) -> Bool {
    count >= text.utf8CodeUnitCount && text.withUTF8Buffer { prefix($0.count).elementsEqual($0) }
  }
}
