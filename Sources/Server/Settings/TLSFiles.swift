internal import Commands
internal import HTTP

/// The paths of the certificate and its private key. The service reads both at start and on SIGHUP.
public struct TLSFiles: Sendable {
  let certificatePath: String
  let privateKeyPath: String

  /// Nil if neither is set. Throws if only one is set.
  init?(_ arguments: Arguments) throws(UsageError) {
    switch (arguments.value(of: .tlsCertFile), arguments.value(of: .tlsKeyFile)) {
    case (nil, nil): return nil
    case (let certificate?, let privateKey?): (certificatePath, privateKeyPath) = (certificate, privateKey)
    case (_?, nil): throw UsageError(.tlsKeyFile, "is needed together with TLS_CERT_FILE")
    case (nil, _?): throw UsageError(.tlsCertFile, "is needed together with TLS_KEY_FILE")
    }
  }

  /// Reads both files. Blocks.
  func load() throws(UsageError) -> TLSIdentity {
    let certificate = try Configuration.readFile(certificatePath, for: .tlsCertFile)
    let privateKey = try Configuration.readFile(privateKeyPath, for: .tlsKeyFile)
    do throws(TLSIdentityError) {
      return try TLSIdentity(certificate: certificate, privateKey: privateKey)
    } catch {
      switch error {
      case .notACertificate(let reason):
        throw UsageError(.tlsCertFile, "\(certificatePath) is not a certificate in PEM format: \(reason)")
      case .notAPrivateKey(let reason):
        throw UsageError(
          .tlsKeyFile, "\(privateKeyPath) is not a private key in PEM format without a passphrase: \(reason)")
      case .mismatch:
        throw UsageError(
          .tlsKeyFile, "\(privateKeyPath) is not the private key of the certificate in \(certificatePath)")
      case .unusable(let reason):
        throw UsageError(.tlsCertFile, "\(certificatePath) cannot be used: \(reason)")
      }
    }
  }
}
