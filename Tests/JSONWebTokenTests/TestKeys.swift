import COpenSSL

/// A key pair of OpenSSL, which signs independently of the code under test.
final class TestKey: Sendable {
  nonisolated(unsafe) private let key: OpaquePointer
  private let coordinateLength: Int

  static let rsa = TestKey(rsaBits: 2048)
  static let otherRSA = TestKey(rsaBits: 2048)
  static let shortRSA = TestKey(rsaBits: 1024)
  static let p256 = TestKey(curve: "P-256", coordinateLength: 32)
  static let p384 = TestKey(curve: "P-384", coordinateLength: 48)
  static let p521 = TestKey(curve: "P-521", coordinateLength: 66)

  private init(rsaBits: Int32) {
    key = Self.generate("RSA") { EVP_PKEY_CTX_set_rsa_keygen_bits($0, rsaBits) }
    coordinateLength = 0
  }

  private init(curve: String, coordinateLength: Int) {
    key = Self.generate("EC") { EVP_PKEY_CTX_set_group_name($0, curve) }
    self.coordinateLength = coordinateLength
  }

  private static func generate(_ type: String, _ configure: (OpaquePointer) -> Int32) -> OpaquePointer {
    let context = EVP_PKEY_CTX_new_from_name(nil, type, nil)!
    defer { EVP_PKEY_CTX_free(context) }
    var key: OpaquePointer?
    precondition(EVP_PKEY_keygen_init(context) == 1 && configure(context) == 1)
    precondition(EVP_PKEY_generate(context, &key) == 1)
    return key!
  }

  /// The public JSON Web Key, with `members` as JSON text before its own.
  func jwk(_ members: String = "", curve: String? = nil) -> String {
    let own =
      if coordinateLength == 0 {
        #""kty":"RSA","n":"\#(base64URL(parameter("n")))","e":"AQAB""#
      } else {
        #""kty":"EC","crv":"\#(curve ?? curveName)","x":"\#(coordinate("qx"))","y":"\#(coordinate("qy"))""#
      }
    return "{" + (members.isEmpty ? "" : members + ",") + own + "}"
  }

  func coordinate(_ name: String) -> String { base64URL(parameter(name, length: coordinateLength)) }

  private var curveName: String { [32: "P-256", 48: "P-384", 66: "P-521"][coordinateLength]! }

  private func parameter(_ name: String, length: Int? = nil) -> [UInt8] {
    var number: OpaquePointer?
    precondition(EVP_PKEY_get_bn_param(key, name, &number) == 1)
    defer { BN_free(number) }
    return bigEndian(number!, length: length ?? Int(BN_num_bits(number) + 7) / 8)
  }

  /// A JWS signature with an algorithm such as `RS256`.
  func sign(_ message: String, _ algorithm: String) -> [UInt8] {
    let context = EVP_MD_CTX_new()
    defer { EVP_MD_CTX_free(context) }
    var keyContext: OpaquePointer?
    precondition(
      EVP_DigestSignInit_ex(context, &keyContext, "SHA" + algorithm.suffix(3), nil, nil, key, nil) == 1)
    if algorithm.hasPrefix("PS") {
      precondition(EVP_PKEY_CTX_set_rsa_padding(keyContext, RSA_PKCS1_PSS_PADDING) == 1)
      precondition(EVP_PKEY_CTX_set_rsa_pss_saltlen(keyContext, -1) == 1)
    }
    let bytes = Array(message.utf8)
    var signature = [UInt8](repeating: 0, count: 1024)
    var length = signature.count
    precondition(EVP_DigestSign(context, &signature, &length, bytes, bytes.count) == 1)
    signature.removeLast(signature.count - length)
    return algorithm.hasPrefix("ES") ? concatenated(signature) : signature
  }

  /// The two numbers of the DER form, concatenated (RFC 7518, section 3.4).
  private func concatenated(_ der: [UInt8]) -> [UInt8] {
    der.withUnsafeBufferPointer { der in
      var start = der.baseAddress
      let signature = d2i_ECDSA_SIG(nil, &start, der.count)
      defer { ECDSA_SIG_free(signature) }
      return bigEndian(ECDSA_SIG_get0_r(signature), length: coordinateLength)
        + bigEndian(ECDSA_SIG_get0_s(signature), length: coordinateLength)
    }
  }
}

private func bigEndian(_ number: OpaquePointer, length: Int) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: length)
  precondition(BN_bn2binpad(number, &bytes, Int32(length)) == Int32(length))
  return bytes
}

func base64URL(_ bytes: some Sequence<UInt8>) -> String {
  let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
  var bits = bytes.flatMap { byte in (0..<8).map { byte >> (7 - $0) & 1 } }
  while !bits.count.isMultiple(of: 6) { bits.append(0) }
  return String(
    stride(from: 0, to: bits.count, by: 6).map { alphabet[bits[$0..<$0 + 6].reduce(0) { $0 << 1 | Int($1) }] })
}

let secretText = "an example secret of more than 32 bytes"

/// A token with any header and claims, signed by OpenSSL with HS256.
func hmacToken(header: String = #"{"alg":"HS256"}"#, claims: String, secret: [UInt8] = Array(secretText.utf8))
  -> String
{
  let message = base64URL(header.utf8) + "." + base64URL(claims.utf8)
  var code = [UInt8](repeating: 0, count: 32)
  HMAC(EVP_sha256(), secret, Int32(secret.count), Array(message.utf8), message.utf8.count, &code, nil)
  return message + "." + base64URL(code)
}

/// A token signed by OpenSSL with a key pair.
func token(_ key: TestKey, _ algorithm: String, kid: String? = nil, signedAs: String? = nil) -> String {
  let header = #"{"alg":"\#(algorithm)"\#(kid.map { #","kid":"\#($0)""# } ?? "")}"#
  let message = base64URL(header.utf8) + "." + base64URL(goodClaims.utf8)
  return message + "." + base64URL(key.sign(message, signedAs ?? algorithm))
}

/// The time of the tests: 2030-01-01, in seconds.
let now: Int64 = 1_893_456_000
let goodClaims = #"{"sub":"client-1","exp":1893456060}"#
