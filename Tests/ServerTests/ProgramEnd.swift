import TestSupport
import Testing

extension Program {
  /// Waits for the end, which is to be a good one.
  func expectEnd(at location: SourceLocation = #_sourceLocation) async {
    let end = await end()
    #expect(end.status == 0, "\(end.errors)", sourceLocation: location)
  }
}
