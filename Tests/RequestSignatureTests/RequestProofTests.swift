import Testing

@testable import RequestSignature

private let poll = TestDevice.member("@method", "@path")

@Suite("Which signature of a request counts")
struct CountingMemberTests {
  @Test
  func `A request without either field has no proof`() throws {
    #expect(try RequestProof(view(fields: [:])) == nil)
    #expect(try RequestProof(view(fields: ["content-digest": ["?"]])) == nil)
  }

  @Test
  func `One field without the other is malformed`() {
    #expect(malformation(view(fields: ["signature": ["sig=:AA==:"]])) == .fieldMissing("Signature-Input"))
    #expect(malformation(view(fields: ["signature-input": ["sig=" + poll]])) == .fieldMissing("Signature"))
  }

  @Test
  func `The first member whose keyid is a UUID counts; what others hold does not matter`() throws {
    let others = [
      "a=1", "b", #"c=("@method" "@path");keyid="key";created=1"#,
      #"d=(1 x "@query-param";name="a");alg="none""#,
      "f=();keyid=token", "g=();keyid",
    ]
    let input = (others + ["sig=" + poll]).joined(separator: ", ")
    let proof = try #require(try RequestProof(view(fields: fields(input: input))))
    #expect(proof.keyID == TestDevice.id)
    #expect(proof.label == "sig")

    let second = poll.replacing(TestDevice.id, with: "ffffffff-ffff-ffff-ffff-ffffffffffff")
    let both = try #require(try RequestProof(view(fields: fields(input: "sig=\(poll), z=\(second)"))))
    #expect(both.keyID == TestDevice.id)
    #expect(
      malformation(view(fields: fields(input: "z=\(second), sig=\(poll)"))) == .signatureMissing(label: "z"))
  }

  @Test(arguments: [
    "", "sig=()", #"sig=();keyid="key""#,
    #"sig=();keyid="0190a5c27d3e7b1a8c4d5e6f70819203""#,
    #"sig=();keyid="0190a5c2-7d3e-7b1a-8c4d-5e6f7081920""#,
    #"sig=();keyid="0190a5c2-7d3e-7b1a-8c4d-5e6f708192033""#,
    #"sig=();keyid="0190a5c2-7d3e-7b1a-8c4d-5e6f7081920g""#,
    #"sig=();keyid="0190a5c2-7d3e-7b1a-8c4d5-e6f70819203""#, #"sig=();keyid="""#,
    #"sig=();keyid=:AA==:"#, #"sig=("@path";keyid="0190a5c2-7d3e-7b1a-8c4d-5e6f70819203")"#,
  ])
  func `Without such a member the request is malformed`(input: String) {
    #expect(malformation(view(fields: fields(input: input))) == .keyIDUnknown)
  }

  @Test
  func `A keyid in upper case counts, and is signed and repeated as it was received`() throws {
    let id = TestDevice.id.uppercased()
    let signer = try RequestSigner(keyID: id, keys: TestDevice.keys)
    let plain = view(fields: [:])
    let signed = try signer.sign(plain, nonce: "0123456789", created: 1)
    let proof = try #require(
      try RequestProof(
        view(fields: ["signature-input": [signed.signatureInput], "signature": [signed.signature]])))
    #expect(proof.keyID == id)
    #expect(proof.verify(storedKey: TestDevice.storedKey))
  }

  @Test(arguments: [
    (
      #";nonce="short""#,
      "the parameter nonce must be a string of 8 to 64 characters, each one of A-Z a-z 0-9 - _"
    ),
    (#";created="1""#, "the parameter created must be a whole number of seconds since 1970, without quotes"),
  ])
  func `A malformed parameter is described`(parameter: String, text: String) {
    let input =
      #"sig=("@method" "@path");keyid="\#(TestDevice.id)""# + parameter
      + (parameter.hasPrefix(";nonce") ? ";created=1" : ";nonce=\"0123456789\"")
    #expect(malformation(view(fields: fields(input: input)))?.description == text)
  }

  @Test
  func `Lines of a field are joined`() throws {
    var fields = fields(input: "")
    fields["signature-input"] = ["other=()", "  sig=\(poll) "]
    fields["signature"] = ["other=:AA==:\t", fields["signature"]![0]]
    #expect(try RequestProof(view(fields: fields)) != nil)
  }

  @Test
  func `A member that counts and is no list is malformed`() {
    #expect(
      malformation(view(fields: fields(input: "sig=1" + TestDevice.parameters))) == .notAList(label: "sig"))
  }

  @Test
  func `A field that is no dictionary is malformed, by a member that does not count too`() {
    guard case .field("Signature-Input", _) = malformation(view(fields: fields(input: "x=,sig=" + poll))) else {
      Issue.record("it was read")
      return
    }
    var fields = fields(input: "sig=" + poll)
    fields["signature"]![0] += ", x=:A:"
    guard case .field("Signature", _) = malformation(view(fields: fields)) else {
      Issue.record("it was read")
      return
    }
  }

  @Test
  func `Eight members are read, nine are not`() {
    func input(_ count: Int) -> String {
      ((1..<count).map { "m\($0)=()" } + ["sig=" + poll]).joined(separator: ",")
    }
    #expect(malformation(view(fields: fields(input: input(8)))) == nil)
    #expect(malformation(view(fields: fields(input: input(9)))) == .field("Signature-Input", .tooManyMembers))
  }

  @Test(arguments: [
    "sig", "sig=1", #"sig="AAAA""#, "sig=()", "sig=::", "sig=:AA==:",
    "sig=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==:",
    "sig=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA:",
    "sig=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:;x",
  ])
  func `Its member in Signature is 32 bytes, without parameters`(member: String) {
    var fields = fields(input: "sig=" + poll)
    fields["signature"] = [member]
    #expect(malformation(view(fields: fields)) == .signatureMisshapen(label: "sig"))
  }

  @Test
  func `Without its member in Signature the request is malformed`() {
    for label in ["other", "sig1", "si"] {
      #expect(
        malformation(view(fields: fields(input: "sig=" + poll, label: label)))
          == .signatureMissing(label: "sig"))
    }
  }
}

@Suite("What a request's signature must cover")
struct CoverageTests {
  private func malformation(
    _ components: String..., target: String = "/p", body: String = "", digest: String? = nil
  ) -> Malformation? {
    let list = components.map { "\"\($0)\"" }.joined(separator: " ")
    let fields = fields(
      input: "sig=(\(list))\(TestDevice.parameters)", and: digest.map { ["content-digest": [$0]] } ?? [:])
    return RequestSignatureTests.malformation(view("POST", target, fields: fields, body: body))
  }

  @Test
  func `Method and path, in any order`() {
    #expect(malformation("@method", "@path") == nil)
    #expect(malformation("@path", "@method") == nil)
    #expect(malformation("@path") == .componentNotCovered("@method"))
    #expect(malformation("@method") == .componentNotCovered("@path"))
    #expect(malformation() == .componentNotCovered("@method"))
    #expect(malformation("@method", "@target-uri", "@request-target") == .componentNotCovered("@path"))
  }

  @Test
  func `The query where there is one, and a bare ? is one`() {
    for target in ["/p?a=b", "/p?"] {
      #expect(malformation("@method", "@path", target: target) == .componentNotCovered("@query"))
      #expect(malformation("@method", "@path", "@query", target: target) == nil)
    }
    #expect(malformation("@method", "@path", "@query") == nil)
  }

  @Test
  func `The digest where there is a body of at least one byte`() {
    let digest = ContentDigest.value(of: [0x78])
    #expect(malformation("@method", "@path", body: "x") == .componentNotCovered("content-digest"))
    #expect(
      malformation("@method", "@path", body: "x", digest: digest) == .componentNotCovered("content-digest"))
    #expect(malformation("@method", "@path", "content-digest", body: "x", digest: digest) == nil)
    #expect(
      malformation("@method", "@path", "content-digest", body: "x") == .componentAbsent("content-digest"))
    #expect(malformation("@method", "@path", "content-digest") == .componentAbsent("content-digest"))
  }

  @Test
  func `More may be covered`() {
    #expect(
      malformation(
        "@scheme", "content-digest", "@request-target", "@query", "@target-uri", "@path", "@authority",
        "@method",
        digest: ContentDigest.value(of: [])) == nil)
  }

  @Test(arguments: [
    "@query-param", "@signature-params", "@status-code", "@", "", "@METHOD", "X-Field", "x field", "x:y",
    "x\\\"y", "mère",
  ])
  func `What has no meaning here is refused`(name: String) {
    let refused = malformation("@method", "@path", name)
    if name == "mère" {
      guard case .field("Signature-Input", _) = refused else {
        Issue.record("it was read")
        return
      }
    } else {
      #expect(refused == .componentUnknown(name))
    }
  }

  @Test
  func `@status, of which a request has none, is refused`() {
    #expect(malformation("@method", "@path", "@status") == .componentUnknown("@status"))
  }

  @Test
  func `A component twice is refused`() {
    #expect(malformation("@method", "@path", "@method") == .componentRepeated("@method"))
    #expect(malformation("@method", "@path", "host", "host") == .componentRepeated("host"))
  }

  @Test
  func `A field that is not there is refused`() {
    #expect(malformation("@method", "@path", "x-field") == .componentAbsent("x-field"))
  }

  @Test(arguments: ["sf", "bs", "req", "tr", "key=\"a\"", "x=1"])
  func `A component with parameters is refused`(parameter: String) {
    for name in ["@method", "host"] {
      let input = "sig=(\"@path\" \"\(name)\";\(parameter))\(TestDevice.parameters)"
      #expect(
        RequestSignatureTests.malformation(view(fields: RequestSignatureTests.fields(input: input)))
          == .componentParameters(name))
    }
  }

  @Test(arguments: ["1", "token", ":AA==:", "?1", "@1", "%\"a\""])
  func `A component that is no string is refused`(item: String) {
    let input = "sig=(\"@method\" \(item))\(TestDevice.parameters)"
    #expect(
      RequestSignatureTests.malformation(view(fields: RequestSignatureTests.fields(input: input)))
        == .componentNotString)
  }

  @Test
  func `32 components are read, 33 are not`() throws {
    func request(_ count: Int) -> RequestView {
      let names = (2..<count).map { "x-\($0)" }
      let list = (["@method", "@path"] + names).map { "\"\($0)\"" }.joined(separator: " ")
      let others = Dictionary(uniqueKeysWithValues: names.map { ($0, ["v"]) })
      return view(fields: fields(input: "sig=(\(list))\(TestDevice.parameters)", and: others))
    }
    #expect(try RequestProof(request(32))?.covered.count == 32)
    #expect(RequestSignatureTests.malformation(request(33)) == .field("Signature-Input", .tooManyItems))
  }
}
