import Testing

@testable import RequestSignature

private let poll = TestDevice.member("@method", "@path")

@Suite("Which signature of a request counts")
struct CountingMemberTests {
  @Test("A request without either field has no proof")
  func unsigned() throws {
    #expect(try RequestProof(view(fields: [:])) == nil)
    #expect(try RequestProof(view(fields: ["content-digest": ["?"]])) == nil)
  }

  @Test("One field without the other is malformed")
  func oneField() {
    #expect(malformation(view(fields: ["signature": ["sig=:AA==:"]])) == .fieldMissing("Signature-Input"))
    #expect(malformation(view(fields: ["signature-input": ["sig=" + poll]])) == .fieldMissing("Signature"))
  }

  @Test("The first member whose keyid is a UUID in lower case counts; what others hold does not matter")
  func firstMember() throws {
    let others = [
      "a=1", "b", #"c=("@method" "@path");keyid="key";created=1"#,
      #"d=(1 x "@query-param";name="a");alg="none""#,
      #"e=();keyid="\#(TestDevice.id.uppercased())""#, "f=();keyid=token", "g=();keyid",
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

  @Test(
    "Without such a member the request is malformed",
    arguments: [
      "", "sig=()", #"sig=();keyid="key""#, #"sig=();keyid="0190A5C2-7d3e-7b1a-8c4d-5e6f70819203""#,
      #"sig=();keyid="0190a5c27d3e7b1a8c4d5e6f70819203""#,
      #"sig=();keyid="0190a5c2-7d3e-7b1a-8c4d-5e6f7081920""#,
      #"sig=();keyid="0190a5c2-7d3e-7b1a-8c4d-5e6f708192033""#,
      #"sig=();keyid="0190a5c2-7d3e-7b1a-8c4d-5e6f7081920g""#,
      #"sig=();keyid="0190a5c2-7d3e-7b1a-8c4d5-e6f70819203""#, #"sig=();keyid="""#,
      #"sig=();keyid=:AA==:"#, #"sig=("@path";keyid="0190a5c2-7d3e-7b1a-8c4d-5e6f70819203")"#,
    ])
  func noMember(input: String) {
    #expect(malformation(view(fields: fields(input: input))) == .keyIDUnknown)
  }

  @Test("Lines of a field are joined")
  func lines() throws {
    var fields = fields(input: "")
    fields["signature-input"] = ["other=()", "  sig=\(poll) "]
    fields["signature"] = ["other=:AA==:\t", fields["signature"]![0]]
    #expect(try RequestProof(view(fields: fields)) != nil)
  }

  @Test("A member that counts and is no list is malformed")
  func noList() {
    #expect(
      malformation(view(fields: fields(input: "sig=1" + TestDevice.parameters))) == .notAList(label: "sig"))
  }

  @Test("A field that is no dictionary is malformed, by a member that does not count too")
  func noDictionary() {
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

  @Test("Eight members are read, nine are not")
  func members() {
    func input(_ count: Int) -> String {
      ((1..<count).map { "m\($0)=()" } + ["sig=" + poll]).joined(separator: ",")
    }
    #expect(malformation(view(fields: fields(input: input(8)))) == nil)
    #expect(malformation(view(fields: fields(input: input(9)))) == .field("Signature-Input", .tooManyMembers))
  }

  @Test(
    "Its member in Signature is 32 bytes, without parameters",
    arguments: [
      "sig", "sig=1", #"sig="AAAA""#, "sig=()", "sig=::", "sig=:AA==:",
      "sig=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==:",
      "sig=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA:",
      "sig=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:;x",
    ])
  func signature(member: String) {
    var fields = fields(input: "sig=" + poll)
    fields["signature"] = [member]
    #expect(malformation(view(fields: fields)) == .signatureMisshapen(label: "sig"))
  }

  @Test("Without its member in Signature the request is malformed")
  func noSignature() {
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

  @Test("Method and path, in any order")
  func methodAndPath() {
    #expect(malformation("@method", "@path") == nil)
    #expect(malformation("@path", "@method") == nil)
    #expect(malformation("@path") == .componentNotCovered("@method"))
    #expect(malformation("@method") == .componentNotCovered("@path"))
    #expect(malformation() == .componentNotCovered("@method"))
    #expect(malformation("@method", "@target-uri", "@request-target") == .componentNotCovered("@path"))
  }

  @Test("The query where there is one, and a bare ? is one")
  func query() {
    for target in ["/p?a=b", "/p?"] {
      #expect(malformation("@method", "@path", target: target) == .componentNotCovered("@query"))
      #expect(malformation("@method", "@path", "@query", target: target) == nil)
    }
    #expect(malformation("@method", "@path", "@query") == nil)
  }

  @Test("The digest where there is a body of at least one byte")
  func digest() {
    let digest = ContentDigest.value(of: [0x78])
    #expect(malformation("@method", "@path", body: "x") == .componentNotCovered("content-digest"))
    #expect(
      malformation("@method", "@path", body: "x", digest: digest) == .componentNotCovered("content-digest"))
    #expect(malformation("@method", "@path", "content-digest", body: "x", digest: digest) == nil)
    #expect(
      malformation("@method", "@path", "content-digest", body: "x") == .componentAbsent("content-digest"))
    #expect(malformation("@method", "@path", "content-digest") == .componentAbsent("content-digest"))
  }

  @Test("More may be covered")
  func more() {
    #expect(
      malformation(
        "@scheme", "content-digest", "@request-target", "@query", "@target-uri", "@path", "@authority",
        "@method",
        digest: ContentDigest.value(of: [])) == nil)
  }

  @Test(
    "What has no meaning here is refused",
    arguments: [
      "@query-param", "@signature-params", "@status-code", "@", "", "@METHOD", "X-Field", "x field", "x:y",
      "x\\\"y", "mère",
    ])
  func unknown(name: String) {
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

  @Test("@status, of which a request has none, is refused")
  func status() {
    #expect(malformation("@method", "@path", "@status") == .componentUnknown("@status"))
  }

  @Test("A component twice is refused")
  func repeated() {
    #expect(malformation("@method", "@path", "@method") == .componentRepeated("@method"))
    #expect(malformation("@method", "@path", "host", "host") == .componentRepeated("host"))
  }

  @Test("A field that is not there is refused")
  func absent() {
    #expect(malformation("@method", "@path", "x-field") == .componentAbsent("x-field"))
  }

  @Test("A component with parameters is refused", arguments: ["sf", "bs", "req", "tr", "key=\"a\"", "x=1"])
  func parameters(parameter: String) {
    for name in ["@method", "host"] {
      let input = "sig=(\"@path\" \"\(name)\";\(parameter))\(TestDevice.parameters)"
      #expect(
        RequestSignatureTests.malformation(view(fields: RequestSignatureTests.fields(input: input)))
          == .componentParameters(name))
    }
  }

  @Test("A component that is no string is refused", arguments: ["1", "token", ":AA==:", "?1", "@1", "%\"a\""])
  func noString(item: String) {
    let input = "sig=(\"@method\" \(item))\(TestDevice.parameters)"
    #expect(
      RequestSignatureTests.malformation(view(fields: RequestSignatureTests.fields(input: input)))
        == .componentNotString)
  }

  @Test("32 components are read, 33 are not")
  func many() throws {
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
