import Testing

@testable import RequestSignature

private func malformation(parameters: String) -> Malformation? {
  malformation(view(fields: fields(input: "sig=(\"@method\" \"@path\")" + parameters)))
}

private let keyID = ";keyid=\"\(TestDevice.id)\""

@Suite("Parameters of a request's signature")
struct ParameterTests {
  @Test
  func `created, keyid and nonce, in any order, are enough`() throws {
    #expect(malformation(parameters: "\(keyID);nonce=\"abcdefgh\";created=1") == nil)
    #expect(malformation(parameters: ";nonce=\"abcdefgh\";created=1\(keyID)") == nil)
  }

  @Test
  func `created and nonce are required`() {
    #expect(malformation(parameters: "\(keyID);nonce=\"abcdefgh\"") == .parameterMissing("created"))
    #expect(malformation(parameters: "\(keyID);created=1") == .parameterMissing("nonce"))
    #expect(malformation(parameters: ";created=1;nonce=\"abcdefgh\"") == .keyIDUnknown)
  }

  @Test
  func `expires and tag are allowed, and returned`() throws {
    let input = "sig=(\"@method\" \"@path\")\(TestDevice.parameters);expires=5;tag=\"a \\\"b\\\" \\\\\""
    let proof = try #require(try RequestProof(view(fields: fields(input: input))))
    #expect(proof.expires == 5)
    #expect(proof.tag == #"a "b" \"#)
    #expect(proof.created == TestDevice.created)
    #expect(proof.nonce == TestDevice.nonce)
    #expect(proof.covered == [.method, .path])
  }

  @Test(arguments: ["alg=\"hmac-sha256\"", "alg", "x", "x=1", "keyids=1", "nonc=1"])
  func `alg is refused, as is everything else`(parameter: String) {
    let name = String(parameter.prefix { $0 != "=" })
    #expect(malformation(parameters: TestDevice.parameters + ";" + parameter) == .parameterRefused(name))
    #expect(malformation(parameters: ";" + parameter + TestDevice.parameters) == .parameterRefused(name))
  }

  @Test(arguments: [
    ("created", "1.5"), ("created", "\"1\""), ("created", "@1"), ("created", "?1"), ("expires", "1.0"),
    ("expires", "\"1\""), ("expires", "token"), ("nonce", "abcdefgh"), ("nonce", ":AAAA:"),
    ("nonce", "12345678"),
    ("tag", "token"), ("tag", "1"), ("tag", "%\"a\""),
  ])
  func `A parameter of another type is refused`(name: String, value: String) {
    #expect(
      malformation(parameters: "\(TestDevice.parameters);\(name)=\(value)") == .parameterMisshapen(name))
  }

  @Test(arguments: ["created", "expires", "nonce", "tag"])
  func `A parameter without a value is refused`(name: String) {
    #expect(malformation(parameters: "\(TestDevice.parameters);\(name)") == .parameterMisshapen(name))
  }

  @Test(arguments: [
    ("abcdefgh", true), ("ABCXYZabcxyz0189-_", true), (String(repeating: "x", count: 64), true),
    ("abcdefg", false),
    (String(repeating: "x", count: 65), false), ("", false), ("abcdefg ", false), ("abcdefg+", false),
    ("abcdefg/", false), ("abcdefg=", false), ("abcdefg.", false), (#"abcdefg\\"#, false),
    (#"abcdefg\""#, false),
  ])
  func `A nonce has 8 to 64 characters of A-Z a-z 0-9 - _`(nonce: String, isAllowed: Bool) {
    #expect(
      malformation(parameters: "\(keyID);created=1;nonce=\"\(nonce)\"")
        == (isAllowed ? nil : .parameterMisshapen("nonce")))
  }

  @Test
  func `A time has at most 15 digits`() throws {
    #expect(malformation(parameters: "\(TestDevice.parameters);created=999999999999999") == nil)
    guard case .field = malformation(parameters: "\(TestDevice.parameters);created=1000000000000000") else {
      Issue.record("it was read")
      return
    }
  }
}

@Suite("Times of a request's signature")
struct TimelinessTests {
  @Test(arguments: [
    (0, Timeliness.timely), (300, .timely), (301, .tooOld), (-60, .timely), (-61, .tooEarly),
    (999_999, .tooOld),
  ])
  func `created is at most the skew before and the lead after the present`(age: Int, expected: Timeliness)
    throws
  {
    let proof = try #require(
      try RequestProof(view(fields: fields(input: "sig=" + TestDevice.member("@method", "@path")))))
    #expect(
      proof.timeliness(at: TestDevice.created + Int64(age), skewSeconds: 300, leadSeconds: 60) == expected)
  }

  @Test(arguments: [(-1, Timeliness.timely), (0, .timely), (1, .expired)])
  func `expires is not past`(pastSeconds: Int, expected: Timeliness) throws {
    let parameters = TestDevice.parameters + ";expires=\(TestDevice.created + 10)"
    let input = "sig=" + TestDevice.member("@method", "@path", parameters: parameters)
    let proof = try #require(try RequestProof(view(fields: fields(input: input))))
    #expect(
      proof.timeliness(at: TestDevice.created + 10 + Int64(pastSeconds), skewSeconds: 300, leadSeconds: 5)
        == expected)
  }

  @Test(arguments: ["999999999999999", "-999999999999999"])
  func `The largest times do not overflow`(seconds: String) throws {
    let parameters = "\(TestDevice.parameters);created=\(seconds);expires=\(seconds)"
    let input = "sig=" + TestDevice.member("@method", "@path", parameters: parameters)
    let proof = try #require(try RequestProof(view(fields: fields(input: input))))
    #expect(proof.timeliness(at: TestDevice.created, skewSeconds: 300, leadSeconds: 5) != .timely)
  }
}
