import Crypto
import Testing

/// Secret, stored key and server key of the signature test cases.
private let vectors: [(secret: String, storedKey: String, serverKey: String)] = [
  (
    "f352d42b71fad9c9812c0c8134ca708c6f5e746e62b18b94f097ce431b16ac2d",
    "2bf72bc342703db44811d87e761a894c2f560f0d23344a9ec6cfa653991d3f2f",
    "a8608a5f8a89cf48b9dcbe123f75af642354211cb613688c0d74e4cbcbfe0da8"
  ),
  (
    "d6f9267a95c8579a925014ff0fc983add7cd4cdafcbb10de4a253f0531bb3f93",
    "23f991964d5e546751a4ea9990b8b4ae6b03c6ba2714dedb4af18f68970f8aff",
    "75c01dae1897008994fe827d4152b57eaf6f07e72445d37132c9f806162949d7"
  ),
  (
    "18be30bceb300f97bcb967e90a3f31fdf652583374466cc864a68b17ca0a01e0",
    "69dc00d26b42c40cde7121357e457885790329a159d3d1bb5405e4a9351ababf",
    "9f0c76f79284d82d3342cd66a2a64ad6da92756bce994a10bd098806825d4def"
  ),
  (
    "e0a3b70d7f58700633ea72f89e0b214743db4e02c22f7c842ab8999a0fd0d5fe",
    "6c571bd3150bedb21566d6b009f8318fba3d155302d82c7a195ce6407d00c9bf",
    "22aef68fdf925a8fdde1f197ec4d2513149d794aca0bf03143b9474f950b4cf8"
  ),
  (
    "f2a2987e085ea31090e9ae51e33fc9cba674cef34cbfa9c7641ebbebeee7e572",
    "e3388936bbe41e2d6d10857e6a0c00604eca4112910d6b2f9afc8be5ba1cf580",
    "3cc4502ad97cc56d0237f14e419fbc52a902473ee607bcfc3d2f6c1752a77d2a"
  ),
  (
    "45df8cc344daa7ea18c42a91e0ca5bbbb0e39a7e3e91244d46c13032aff8cb6e",
    "6e71cfc4fcf58fb2bee3ed270eb56c7632548c6148aff064b7dc9b43643876cd",
    "4b24581e9b2da610e05a8594f6f0ec785e8c712b3b395a8e1641fb19fc74d5e0"
  ),
  (
    "ddee8f67571b99635602e7aa48e923078818576945e6d0b61b9fcf3f5bec475b",
    "a8cdacc76ee08b6b5cc02ed133fe1ffd60580c6ba709434c33ec0a42b97beaa9",
    "7e9721fbe07aceb0459fa747370d34ba1a2cda2499cd838d8688089c7fb2e3c4"
  ),
  (
    "f0b79930dc2269ee1f9680187dfd49736c8a3cc6cc620d61d2b65b4dfc9476e4",
    "9287dc3e9413e1eb3bbf3d6b3057104191611e05a49f4f96163969974210dfa6",
    "716a573123216d8f7902e36479e541b60dac8507364442ea89a8a831b6a1b38e"
  ),
  (
    "2124ca20910096484266869efeb70d9e53d554108fc12c501c91d90ebd5666f4",
    "5da830949a0ab3479e779970a5f94da035d668c52912072c1ebbb1319fe178a9",
    "b8190c4303206890353e4a9a5fbdc9c0f60c3023ea91417489cafc6776c74dd1"
  ),
  (
    "23d020ac808a1b4584ec1a773f6958e97d4d9f9d6981221bbf29ff906e920a81",
    "b4e0f3bead5b22fc164443e35a56ccbec734232bfa1b5c92bbe2b912180b2a8d",
    "e8565a534090bb12f27553cc34eca3cde431a66a27095e7772cc8b2ed34f2065"
  ),
  (
    "63f5d7a4ec0a9748a89379127b354dba92e0ab8548fef0f854a782334f73ec7d",
    "c3a2b007084252e58d7ef33b9897a21702f39d042733ded3a041af5aa359fcd0",
    "46997b3d97d0dc329541e84c3e59b1e01b96670b83f0ea4c5a6fdf29c7db459d"
  ),
]

@Suite("Keys derived as SCRAM does")
struct ScramKeysTests {
  @Test(arguments: vectors.indices)
  func `Derives the keys of the signature test cases`(index: Int) {
    let secret = Array(vectors[index].secret.utf8)
    let keys = secret.withUnsafeBufferPointer { ScramKeys(secret: $0) }
    #expect(keys.storedKey == bytes(hex: vectors[index].storedKey))
    #expect(keys.serverKey == bytes(hex: vectors[index].serverKey))
    #expect(secret.withUnsafeBufferPointer { ScramKeys.storedKey(secret: $0) } == keys.storedKey)
  }

  @Test
  func `Prints as <redacted>`() {
    let keys = [UInt8](1...64).withUnsafeBufferPointer { ScramKeys(secret: $0) }
    #expect("\(keys)" == "<redacted>")
    #expect(String(reflecting: keys) == "<redacted>")
    var dumped = ""
    dump(keys, to: &dumped)
    #expect(dumped == "- <redacted>\n")
  }
}
