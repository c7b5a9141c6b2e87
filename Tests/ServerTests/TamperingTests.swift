import Foundation
import RequestSignature
import TestSupport
import Testing

extension DeviceRegistry {
  /// A signed request of which one thing is changed on the way.
  @Suite("A signed request that was changed") struct Tampering {
    /// The parts of the request that is sent.
    struct Parts {
      var method = "GET"
      var target = "/api/v1/device/poll?max=7"
      var fields: [(String, String)]
      var body = Array(#"{"acks":[]}"#.utf8)

      /// Replaces a text in a field, which must be there.
      mutating func replace(_ text: String, with new: String, in name: String) {
        let index = fields.firstIndex { $0.0 == name }!
        precondition(fields[index].1.contains(text), "\(text) is not in \(fields[index].1)")
        fields[index].1 = fields[index].1.replacing(text, with: new)
      }

      mutating func append(_ text: String, to name: String) {
        fields[fields.firstIndex { $0.0 == name }!].1 += text
      }

      mutating func remove(_ name: String) { fields.removeAll { $0.0 == name } }

      mutating func set(_ name: String, _ value: String) {
        remove(name)
        fields.append((name, value))
      }

      /// What an expression finds in `Signature-Input`.
      func input<Output>(_ expression: Regex<Output>) -> Regex<Output>.Match {
        fields.first { $0.0 == "Signature-Input" }!.1.firstMatch(of: expression)!
      }
    }

    private static func parts(_ device: TestDevice, at registry: TestRegistry) throws -> Parts {
      var request = TestDevice.SignedRequest(
        "GET", "/api/v1/device/poll?max=7", body: Array(#"{"acks":[]}"#.utf8))
      request.created = registry.clock.secondsSince1970
      request.expires = request.created + 60
      request.covering = [.authority, .scheme, .targetURI, .requestTarget, .field("x-account")]
      request.fields = [("X-Account", "77")]
      let lines = try device.fields(of: request, port: registry.client.port)
      return Parts(
        fields: lines.map { ($0.name, $0.value) } + [("X-Account", "77"), ("Content-Type", "application/json")])
    }

    private static func send(
      _ kind: DatabaseKind, _ change: (inout Parts) throws -> Void
    ) async throws -> HTTPAnswer {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      var parts = try Self.parts(device, at: registry)
      try change(&parts)
      return try await registry.client.send(parts.method, parts.target, fields: parts.fields, body: parts.body)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Unchanged it is answered, whatever else it covers`(_ kind: DatabaseKind) async throws {
      let answer = try await Self.send(kind) { _ in }
      #expect(answer.status == 200, "\(answer.text)")
    }

    enum Change: String, CaseIterable {
      case methodAndPath, query, emptyQuery, body, bodyAndDigest, field, droppedField, order
      case created, expires, droppedExpiry, nonce, tag, keyID, signatureOfOther
    }

    @Test(arguments: DatabaseKind.allCases, Change.allCases)
    func `It does not verify`(_ kind: DatabaseKind, _ change: Change) async throws {
      let other = try await registry(kind).newSignedDevice(of: registry(kind).newOwner())
      let answer = try await Self.send(kind) { parts in
        switch change {
        case .methodAndPath: (parts.method, parts.target) = ("POST", "/api/v1/device/ack?max=7")
        case .query: parts.target = "/api/v1/device/poll?max=8"
        case .emptyQuery: parts.target = "/api/v1/device/poll?"
        case .body: parts.body = Array(#"{"acks": []}"#.utf8)
        case .bodyAndDigest:
          parts.body = Array(#"{"acks": []}"#.utf8)
          parts.set("Content-Digest", ContentDigest.value(of: parts.body))
        case .field: parts.set("X-Account", "78")
        case .created:
          let created = Int64(parts.input(/created=(\d+)/).1)!
          parts.replace("created=\(created)", with: "created=\(created - 1)", in: "Signature-Input")
        case .expires:
          let expires = Int64(parts.input(/expires=(\d+)/).1)!
          parts.replace("expires=\(expires)", with: "expires=\(expires + 1)", in: "Signature-Input")
        case .droppedExpiry:
          parts.replace(String(parts.input(/;expires=\d+/).0), with: "", in: "Signature-Input")
        case .nonce: parts.replace("nonce=\"", with: "nonce=\"0", in: "Signature-Input")
        case .tag: parts.append(";tag=\"ea\"", to: "Signature-Input")
        case .keyID:
          let id = String(parts.input(/keyid="([^"]+)"/).1)
          parts.replace(id, with: other.id, in: "Signature-Input")
        case .order: parts.replace(#""@method" "@path""#, with: #""@path" "@method""#, in: "Signature-Input")
        case .droppedField: parts.replace(#" "x-account""#, with: "", in: "Signature-Input")
        case .signatureOfOther:
          let others = try Self.parts(other, at: registry(kind))
          parts.set("Signature", others.fields.first { $0.0 == "Signature" }!.1)
        }
      }
      #expect(answer.status == 401)
      #expect(try TestRegistry.kind(answer) == "signature-invalid")
      #expect(answer.value(of: "signature") == nil)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A body with another digest is named`(_ kind: DatabaseKind) async throws {
      let answer = try await Self.send(kind) { $0.body = Array(#"{"acks": []}"#.utf8) }
      #expect(try answer.string("detail")?.contains("Content-Digest") == true)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The device's id may be in upper case, in the keyid and in paths`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let id = device.id.uppercased()
      let answer = try await registry.ask(
        registry.request("GET", "/api/v1/device"), as: TestDevice(id: id, secret: device.secret))
      #expect(answer.status == 200)
      #expect(try answer.string("id") == device.id)
      #expect(answer.value(of: "signature-input")?.contains(#"keyid="\#(id)""#) == true)
      #expect(try await registry.ask("GET", "/api/v1/devices/\(id)", as: owner).string("id") == device.id)
      let sent = try await registry.ask(
        "POST", "/api/v1/signals", as: owner, json: ["payload": ["a": 1], "device_ids": [id, device.id]])
      #expect(try sent.object()["devices"] as? Int == 1)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The method counts, also where both have the same route`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let get = try device.fields(of: registry.request("GET", "/api/v1/device"), port: registry.client.port)
      let answer = try await registry.client.send(
        "HEAD", "/api/v1/device", fields: get.map { ($0.name, $0.value) })
      #expect(answer.status == 401)
      #expect(try await registry.send(registry.request("HEAD", "/api/v1/device"), as: device).status == 200)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Each byte of the signature counts`(_ kind: DatabaseKind) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      for index in 0..<32 {
        var request = try registry.request("GET", "/api/v1/device")
        request.tamper = { lines in
          let line = lines.firstIndex { $0.name == "Signature" }!
          let text = lines[line].value.split(separator: ":")[1]
          var bytes = Data(base64Encoded: String(text))!
          bytes[index] ^= 1 << UInt8(index % 8)
          lines[line].value = "sig1=:\(bytes.base64EncodedString()):"
        }
        #expect(try await TestRegistry.kind(registry.send(request, as: device)) == "signature-invalid")
      }
      #expect(try await registry.whoami(device).status == 200)
    }

    enum Damage: String, CaseIterable {
      case noSignature, noInput, otherLabel, algorithm, unknownParameter, noCreated, noNonce, shortNonce
      case oddNonce, methodNotCovered, pathNotCovered, queryNotCovered, digestNotCovered, digestMissing
      case digestOfAnotherKind, shortSignature, textSignature, coveredFieldMissing
    }

    @Test(arguments: DatabaseKind.allCases, Damage.allCases)
    func `It is malformed`(_ kind: DatabaseKind, _ damage: Damage) async throws {
      let answer = try await Self.send(kind) { parts in
        func cut(_ expression: Regex<Substring>, with new: String = "") {
          parts.replace(String(parts.input(expression).0), with: new, in: "Signature-Input")
        }
        switch damage {
        case .noSignature: parts.remove("Signature")
        case .noInput: parts.remove("Signature-Input")
        case .otherLabel: parts.replace("sig1=", with: "sig2=", in: "Signature")
        case .algorithm: parts.append(";alg=\"hmac-sha256\"", to: "Signature-Input")
        case .unknownParameter: parts.append(";color=1", to: "Signature-Input")
        case .noCreated: cut(/;created=\d+/)
        case .noNonce: cut(/;nonce="[^"]+"/)
        case .shortNonce: cut(/;nonce="[^"]+"/, with: ";nonce=\"1234567\"")
        case .oddNonce: cut(/;nonce="[^"]+"/, with: ";nonce=\"12345678!\"")
        case .methodNotCovered: parts.replace(#""@method" "#, with: "", in: "Signature-Input")
        case .pathNotCovered: parts.replace(#""@path" "#, with: "", in: "Signature-Input")
        case .queryNotCovered: parts.replace(#""@query" "#, with: "", in: "Signature-Input")
        case .digestNotCovered: parts.replace(#""content-digest" "#, with: "", in: "Signature-Input")
        case .digestMissing: parts.remove("Content-Digest")
        case .digestOfAnotherKind: parts.replace("sha-256=", with: "sha-512=", in: "Content-Digest")
        case .shortSignature: parts.set("Signature", "sig1=:AAAA:")
        case .textSignature: parts.set("Signature", "sig1=\"AAAA\"")
        case .coveredFieldMissing: parts.remove("X-Account")
        }
      }
      #expect(answer.status == 401)
      #expect(try TestRegistry.kind(answer) == "signature-malformed", "\(answer.text)")
      #expect(answer.value(of: "signature") == nil)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Scheme and authority are the service's own, whatever is forwarded`(_ kind: DatabaseKind) async throws
    {
      let settings = ["PUBLIC_URL": "https://registry.example.com"]
      try await TestRegistry.with(TestDatabase(kind), settings: settings) { registry in
        let device = try await registry.newSignedDevice(of: registry.newOwner())
        func status(_ scheme: String, _ authority: String?) async throws -> Int {
          var request = try registry.request("GET", "/api/v1/device")
          request.covering = [.scheme, .authority, .targetURI]
          (request.scheme, request.authority) = (scheme, authority)
          request.fields = [
            ("X-Forwarded-Host", "evil.example.com"), ("X-Forwarded-Proto", "http"),
            ("Forwarded", "host=evil.example.com;proto=http"),
          ]
          return try await registry.send(request, as: device).status
        }
        #expect(try await status("https", "registry.example.com") == 200)
        for (scheme, authority) in [
          ("http", "registry.example.com"), ("https", "evil.example.com"), ("https", nil),
        ] {
          #expect(try await status(scheme, authority) == 401)
        }
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `A path is the bytes that were sent, and no other spelling of its route`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      for path in [
        "/api/v1/device/%70oll", "/api/v1/device/poll/", "/api/v1//device/poll", "/api/v1/Device/poll",
      ] {
        let answer = try await registry.send(registry.request("GET", path), as: device)
        #expect(answer.status == 404, "\(path)")
      }
      for query in ["?", "?max=%31", "?%6dax=7&wait=0&"] {
        #expect(try await registry.poll(device, query: query).status == 200, "\(query)")
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Members that are no device's are passed over, and the first that is one counts`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      var request = try registry.request("GET", "/api/v1/device")
      request.tamper = { lines in
        let proxy = #"proxy=("@method");created=1;keyid="proxy";alg="ed25519""#
        for index in lines.indices where lines[index].name == "Signature-Input" {
          lines[index].value = proxy + ", " + lines[index].value
        }
        lines.append(("Signature", "proxy=:AAAA:"))
      }
      #expect(try await registry.ask(request, as: device).status == 200)
      let other = try await registry.newSignedDevice(of: registry.newOwner())
      var forged = try registry.request("GET", "/api/v1/device")
      forged.tamper = { [created = forged.created] lines in
        let first =
          #"first=("@method" "@path");created=\#(created);keyid="\#(other.id)";nonce="12345678""#
        for index in lines.indices where lines[index].name == "Signature-Input" {
          lines[index].value = first + ", " + lines[index].value
        }
        lines.append(("Signature", "first=:\(Data(repeating: 0, count: 32).base64EncodedString()):"))
      }
      #expect(try await TestRegistry.kind(registry.send(forged, as: device)) == "signature-invalid")
    }
  }

  @Suite("What a device is let in by") struct DeviceProofs {
    @Test(arguments: DatabaseKind.allCases)
    func `Nothing is missing proof, and a signature decides alone, whatever token is beside it`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let nothing = try await registry.ask("GET", "/api/v1/device")
      #expect(try nothing.status == 401 && TestRegistry.kind(nothing) == "signature-missing")
      #expect(nothing.value(of: "www-authenticate") == "Bearer")
      let token = try await registry.newToken(of: device)
      var request = try registry.request("GET", "/api/v1/device")
      request.fields = [("Authorization", "Bearer \(token)")]
      let wrong = TestDevice(id: device.id, secret: String(repeating: "0", count: 64))
      #expect(try await TestRegistry.kind(registry.send(request, as: wrong)) == "signature-invalid")
      request.tamper = { $0.removeAll { $0.name == "Signature" } }
      #expect(try await TestRegistry.kind(registry.send(request, as: device)) == "signature-malformed")
      var good = try registry.request("GET", "/api/v1/device")
      good.fields = [("Authorization", "Bearer drt_\(String(repeating: "A", count: 43))")]
      #expect(try await registry.ask(good, as: device).status == 200)
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Owners come with JWTs, devices with their own tokens, and neither with the other's`(
      _ kind: DatabaseKind
    ) async throws {
      let registry = try registry(kind)
      let owner = try await registry.newOwner()
      let device = try await registry.newSignedDevice(of: owner)
      let token = try await registry.newToken(of: device)
      #expect(token.wholeMatch(of: /drt_[A-Za-z0-9_-]{43}/) != nil)
      for path in ["/api/v1/devices", "/api/v1/signals", "/api/v1/clients"] {
        let answer = try await registry.ask("GET", path, token: token)
        #expect(try answer.status == 401 && TestRegistry.kind(answer) == "token-invalid")
        let signed = try await registry.send(registry.request("GET", path), as: device)
        #expect(try signed.status == 401 && TestRegistry.kind(signed) == "token-missing")
      }
      for token in [owner.token, token + "A", "drt_", "drt_" + String(repeating: "A", count: 43)] {
        for path in ["/api/v1/device", "/api/v1/device/poll"] {
          let answer = try await registry.ask("GET", path, token: token)
          #expect(try answer.status == 401 && TestRegistry.kind(answer) == "token-invalid")
          #expect(answer.value(of: "www-authenticate")?.contains(#"error="invalid_token""#) == true)
        }
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `The checks have a fixed order: malformed, clock, digest, signature, replay`(_ kind: DatabaseKind)
      async throws
    {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let wrong = TestDevice(id: device.id, secret: String(repeating: "0", count: 64))
      let used = try registry.request("POST", "/api/v1/device/ack", json: ["acks": []])
      #expect(try await registry.ask(used, as: device).status == 200)
      func refusal(as sender: TestDevice, _ change: (inout TestDevice.SignedRequest) -> Void) async throws
        -> String
      {
        var request = used
        change(&request)
        return try await TestRegistry.kind(registry.send(request, as: sender))
      }
      // Everything is wrong with it, and then one thing less each time.
      #expect(
        try await refusal(as: wrong) {
          $0.created -= 1000
          $0.tamper = { lines in
            for index in lines.indices where lines[index].name == "Signature-Input" {
              lines[index].value += ";alg=\"x\""
            }
          }
        } == "signature-malformed")
      #expect(try await refusal(as: wrong) { $0.created -= 1000 } == "clock-skew")
      #expect(try await refusal(as: wrong) { _ in } == "signature-invalid")
      #expect(try await refusal(as: device) { _ in } == "replayed")
      // A stranger uses up no nonce of the device.
      let fresh = try registry.request("GET", "/api/v1/device")
      #expect(try await TestRegistry.kind(registry.send(fresh, as: wrong)) == "signature-invalid")
      #expect(try await registry.ask(fresh, as: device).status == 200)
    }
  }
}
