internal import HTTP
internal import Synchronization

/// The certificate that new connections are shown.
final class ServedCertificate: Sendable {
  private let files: TLSFiles
  private let identity: Mutex<TLSIdentity>

  init(_ identity: TLSIdentity, from files: TLSFiles) {
    self.files = files
    self.identity = Mutex(identity)
  }

  var current: TLSIdentity { identity.withLock { $0 } }

  /// Reads the files again. Throws an error that says what is wrong with them; then the current one stays. Blocks.
  func reload() throws(UsageError) {
    let loaded = try files.load()
    identity.withLock { $0 = loaded }
  }
}
