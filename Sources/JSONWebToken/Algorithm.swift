/// The supported signature algorithms (RFC 7518, section 3.1). The raw value is the name in `alg`.
enum Algorithm: String {
  case hs256 = "HS256"
  case rs256 = "RS256"
  case rs384 = "RS384"
  case rs512 = "RS512"
  case ps256 = "PS256"
  case ps384 = "PS384"
  case ps512 = "PS512"
  case es256 = "ES256"
  case es384 = "ES384"
  case es512 = "ES512"

  static let rsa: [Algorithm] = [.rs256, .rs384, .rs512, .ps256, .ps384, .ps512]

  /// The length in bytes of every signature, if the algorithm fixes it (RFC 7518, sections 3.2 and 3.4).
  var signatureLength: Int? {
    switch self {
    case .hs256: 32
    case .es256: 64
    case .es384: 96
    case .es512: 132
    case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: nil
    }
  }
}
