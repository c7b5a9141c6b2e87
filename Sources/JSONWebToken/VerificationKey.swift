internal import CCjose
internal import Encoding
internal import JSON

/// An immutable key that verifies signatures, and the algorithms that it is for.
///
/// Threads may share the pointer: verifying only reads a cjose key, and OpenSSL locks what it caches.
final class VerificationKey: Sendable {
  /// The `kid` (RFC 7517, section 4.5).
  let id: String?
  let algorithms: [Algorithm]
  nonisolated(unsafe) let jwk: OpaquePointer

  /// Takes ownership of the cjose key.
  init(owning jwk: OpaquePointer, id: String?, algorithms: [Algorithm]) {
    self.jwk = jwk
    self.id = id
    self.algorithms = algorithms
  }

  deinit { cjose_jwk_release(jwk) }
}

extension VerificationKey {
  /// RFC 7518, section 3.3: at least 2048 bits. The upper bound limits the cost of verifying.
  static let rsaBits = 2048...8192
  /// Bytes of the public exponent. The bound limits the cost of verifying.
  static let maximumExponentLength = 8

  /// Reads the public part of a JSON Web Key (RFC 7517). Throws why it is not usable.
  convenience init(_ members: ParsedObject) throws(KeyRefusal) {
    let id = try members.text("kid", orAbsent: true)
    guard case .string(let type) = members["kty"] else { throw .init("it has no kty") }
    let jwk: OpaquePointer
    let possible: [Algorithm]
    switch type {
    case "RSA": (jwk, possible) = (try Self.rsaKey(members), Algorithm.rsa)
    case "EC": (jwk, possible) = try Self.ellipticCurveKey(members)
    case "oct": throw .init("it is symmetric, so anyone who reads the key set could sign tokens")
    default: throw .init("its kty is neither RSA nor EC")
    }
    // From here on `self` owns the key, also if the initialiser throws.
    let algorithms = Result { () throws(KeyRefusal) in try members.algorithms(among: possible) }
    self.init(owning: jwk, id: id, algorithms: (try? algorithms.get()) ?? [])
    _ = try algorithms.get()
  }

  private static func rsaKey(_ members: ParsedObject) throws(KeyRefusal) -> OpaquePointer {
    var modulus = Array(try members.bytes("n").drop { $0 == 0 })
    var exponent = Array(try members.bytes("e").drop { $0 == 0 })
    let bits = modulus.count * 8 - (modulus.first?.leadingZeroBitCount ?? 0)
    guard rsaBits.contains(bits) else {
      throw .init("its modulus has \(bits) bits, not \(rsaBits.lowerBound) to \(rsaBits.upperBound)")
    }
    guard exponent.count <= maximumExponentLength, exponent != [1], exponent.last.map({ $0 & 1 }) == 1 else {
      throw .init("its exponent is not an odd number from 3 to 2^64")
    }
    let jwk = modulus.withUnsafeMutableBufferPointer { modulus in
      exponent.withUnsafeMutableBufferPointer { exponent in
        var parts = cjose_jwk_rsa_keyspec()
        (parts.n, parts.nlen) = (modulus.baseAddress, modulus.count)
        (parts.e, parts.elen) = (exponent.baseAddress, exponent.count)
        return cjose_jwk_create_RSA_spec(&parts, nil)
      }
    }
    guard let jwk else { throw .init("it is not an RSA key") }
    return jwk
  }

  private static func ellipticCurveKey(
    _ members: ParsedObject
  ) throws(KeyRefusal) -> (OpaquePointer, [Algorithm]) {
    let curve: cjose_jwk_ec_curve
    let algorithm: Algorithm
    switch try members.text("crv", orAbsent: false) {
    case "P-256": (curve, algorithm) = (CJOSE_JWK_EC_P_256, .es256)
    case "P-384": (curve, algorithm) = (CJOSE_JWK_EC_P_384, .es384)
    case "P-521": (curve, algorithm) = (CJOSE_JWK_EC_P_521, .es512)
    default: throw .init("its curve is not P-256, P-384 or P-521")
    }
    var x = try members.bytes("x")
    var y = try members.bytes("y")
    // RFC 7518, section 6.2.1.2: a coordinate has the full length, which is half of a signature's.
    let length = algorithm.signatureLength! / 2
    guard x.count == length, y.count == length else {
      throw .init("its coordinates do not have \(length) bytes")
    }
    let jwk = x.withUnsafeMutableBufferPointer { x in
      y.withUnsafeMutableBufferPointer { y in
        var parts = cjose_jwk_ec_keyspec()
        parts.crv = curve
        (parts.x, parts.xlen) = (x.baseAddress, x.count)
        (parts.y, parts.ylen) = (y.baseAddress, y.count)
        return cjose_jwk_create_EC_spec(&parts, nil)
      }
    }
    guard let jwk else { throw .init("its point is not on its curve") }
    return (jwk, [algorithm])
  }
}

/// Why a key of a set is not used. The reason follows "key N is not used: ".
struct KeyRefusal: Error {
  let reason: String

  init(_ reason: String) { self.reason = reason }
}

extension ParsedObject {
  fileprivate func text(_ name: String, orAbsent mayBeAbsent: Bool) throws(KeyRefusal) -> String? {
    switch self[name] {
    case .string(let text): return text
    case nil where mayBeAbsent: return nil
    case nil: throw .init("it has no \(name)")
    default: throw .init("its \(name) is not a string")
    }
  }

  fileprivate func bytes(_ name: String) throws(KeyRefusal) -> [UInt8] {
    let text = try text(name, orAbsent: false) ?? ""
    guard let bytes = Base64URL.decode(text[...]), !bytes.isEmpty else {
      throw .init("its \(name) is not base64url")
    }
    return bytes
  }

  /// The algorithms that `use`, `key_ops` and `alg` permit (RFC 7517, sections 4.2 to 4.4).
  fileprivate func algorithms(among possible: [Algorithm]) throws(KeyRefusal) -> [Algorithm] {
    if let use = try text("use", orAbsent: true), use != "sig" { throw .init("its use is not sig") }
    if let operations = self["key_ops"], operations.strings?.contains("verify") != true {
      throw .init("its key_ops do not contain verify")
    }
    guard let name = try text("alg", orAbsent: true) else { return possible }
    guard let algorithm = Algorithm(rawValue: name), possible.contains(algorithm) else {
      throw .init("its alg does not match its type")
    }
    return [algorithm]
  }
}
