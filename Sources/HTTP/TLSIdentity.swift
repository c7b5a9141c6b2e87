internal import CGnuTLS
public import Encoding

/// A certificate chain and its private key, ready for TLS sessions.
///
/// `@unchecked Sendable`: nothing changes after `init`, and then sessions of several threads may share GnuTLS's
/// credentials, priorities and ticket key (GnuTLS manual, "Thread safety").
public final class TLSIdentity: @unchecked Sendable, Redacted {
  private let credentials: gnutls_certificate_credentials_t
  private let priorities: gnutls_priority_t
  /// The key of the tickets with which clients resume sessions (RFC 8446, section 4.6.1). Another certificate has
  /// another key, so no session outlives the certificate that its client saw.
  private let ticketKey: gnutls_datum_t
  /// The expiry of the certificate, in seconds since 1970.
  public let expirySeconds: Int64

  /// TLS 1.2 and 1.3, with GnuTLS's normal priorities (GnuTLS manual, "Priority strings").
  private static let versions = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
  /// The protocol inside TLS (RFC 7301).
  private static let applicationProtocol: StaticString = "http/1.1"

  /// Certificates of one chain.
  static let maximumChainLength: UInt32 = 16

  /// - Parameters:
  ///   - certificate: PEM, the service's own first.
  ///   - privateKey: PEM, without a passphrase.
  public init(certificate: [UInt8], privateKey: [UInt8]) throws(TLSIdentityError) {
    expirySeconds = try Self.expirySeconds(of: certificate)
    try Self.testKey(privateKey)
    var credentials: gnutls_certificate_credentials_t?
    var status = gnutls_certificate_allocate_credentials(&credentials)
    guard status == GNUTLS_E_SUCCESS, let credentials else { throw .unusable(reason: text(of: status)) }
    status = withDatum(certificate) { certificate in
      withDatum(privateKey) { privateKey in
        gnutls_certificate_set_x509_key_mem2(credentials, certificate, privateKey, GNUTLS_X509_FMT_PEM, nil, 0)
      }
    }
    guard status >= 0 else {
      gnutls_certificate_free_credentials(credentials)
      throw status == GNUTLS_E_CERTIFICATE_KEY_MISMATCH ? .mismatch : .unusable(reason: text(of: status))
    }
    var priorities: gnutls_priority_t?
    var ticketKey = gnutls_datum_t()
    status = gnutls_priority_init2(&priorities, Self.versions, nil, 0)
    if status == GNUTLS_E_SUCCESS { status = gnutls_session_ticket_key_generate(&ticketKey) }
    guard status == GNUTLS_E_SUCCESS, let priorities else {
      if let priorities { gnutls_priority_deinit(priorities) }
      gnutls_certificate_free_credentials(credentials)
      throw .unusable(reason: text(of: status))
    }
    self.credentials = credentials
    self.priorities = priorities
    self.ticketKey = ticketKey
  }

  deinit {
    withUnsafePointer(to: ticketKey) { wipe_and_free($0) }
    gnutls_priority_deinit(priorities)
    gnutls_certificate_free_credentials(credentials)
  }

  /// Prepares a new session, which must not outlive this, as the server with this certificate.
  func present(in session: gnutls_session_t) -> Bool {
    let name = Self.applicationProtocol
    var datum = gnutls_datum_t(
      data: UnsafeMutablePointer(mutating: name.utf8Start), size: UInt32(name.utf8CodeUnitCount))
    var ticketKey = ticketKey
    return gnutls_priority_set(session, priorities) == GNUTLS_E_SUCCESS
      && gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, UnsafeMutableRawPointer(credentials))
        == GNUTLS_E_SUCCESS
      && gnutls_session_ticket_enable_server(session, &ticketKey) == GNUTLS_E_SUCCESS
      // A client that offers only other protocols is refused.
      && gnutls_alpn_set_protocols(session, &datum, 1, GNUTLS_ALPN_MANDATORY.rawValue) == GNUTLS_E_SUCCESS
  }

  private static func expirySeconds(of certificate: [UInt8]) throws(TLSIdentityError) -> Int64 {
    var chain = [gnutls_x509_crt_t?](repeating: nil, count: Int(maximumChainLength))
    var count = maximumChainLength
    let status = withDatum(certificate) {
      gnutls_x509_crt_list_import(
        &chain, &count, $0, GNUTLS_X509_FMT_PEM, GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED.rawValue)
    }
    guard status > 0 else { throw .notACertificate(reason: text(of: status)) }
    defer { for certificate in chain.prefix(Int(status)) { gnutls_x509_crt_deinit(certificate) } }
    return Int64(gnutls_x509_crt_get_expiration_time(chain[0]))
  }

  private static func testKey(_ privateKey: [UInt8]) throws(TLSIdentityError) {
    var key: gnutls_x509_privkey_t?
    gnutls_x509_privkey_init(&key)
    defer { gnutls_x509_privkey_deinit(key) }
    let status = withDatum(privateKey) { gnutls_x509_privkey_import2(key, $0, GNUTLS_X509_FMT_PEM, nil, 0) }
    guard status == GNUTLS_E_SUCCESS else { throw .notAPrivateKey(reason: text(of: status)) }
  }
}

/// Why a certificate cannot be used. The reasons are GnuTLS's texts.
public enum TLSIdentityError: Error, Hashable, Sendable {
  case notACertificate(reason: String)
  case notAPrivateKey(reason: String)
  /// The key belongs to another certificate.
  case mismatch
  case unusable(reason: String)
}

private func text(of status: Int32) -> String { String(cString: gnutls_strerror(status)) }

/// Calls `body` with the bytes in GnuTLS's form.
private func withDatum(_ bytes: [UInt8], _ body: (UnsafePointer<gnutls_datum_t>) -> Int32) -> Int32 {
  bytes.withUnsafeBufferPointer { bytes in
    var datum = gnutls_datum_t(
      data: UnsafeMutablePointer(mutating: bytes.baseAddress), size: UInt32(clamping: bytes.count))
    return withUnsafePointer(to: &datum, body)
  }
}
