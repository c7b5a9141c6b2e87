import CZlib
@testable import Console
import Encoding
import HTTP
import Testing

/// The files of the console, as a browser receives them.
@Suite struct ConsoleFiles {
  private static let console = Console()

  private static func ask(
    _ method: String, _ path: String, _ fields: [(String, String)] = [], of console: Console = console
  ) throws -> Response? {
    let section = fields.map { "\($0): \($1)\r\n" }.joined() + "\r\n"
    return console.answer(
      Request(
        id: "test-1", method: method, target: path,
        fields: try HeaderFields(Array(section.utf8), maximumLines: 8), body: .complete([]),
        client: IPAddress("192.0.2.1")!))
  }

  @Test func `Every file has a type, a strict policy, and a smaller compressed form`() throws {
    #expect(Console.embedded.count > 5)
    for (name, content) in Console.embedded {
      let plain = try #require(try Self.ask("GET", Console.path + name))
      #expect(plain.status == 200)
      #expect(plain.bytes == content)
      #expect("\(plain.contentType ?? "")" != "application/octet-stream")
      #expect(
        plain.value(of: "Content-Security-Policy")?.contains("default-src 'none'; script-src 'self'") == true)
      #expect(plain.value(of: "X-Content-Type-Options") == "nosniff")
      #expect(plain.value(of: "Referrer-Policy") == "no-referrer")
      let small = try #require(try Self.ask("GET", Console.path + name, [("accept-encoding", "br, gzip")]))
      #expect(small.value(of: "Content-Encoding") == "gzip")
      #expect(small.value(of: "ETag") != plain.value(of: "ETag"))
      #expect(Self.uncompressed(small.bytes, count: content.count) == content)
    }
  }

  @Test func `A browser that has the file gets 304, and nothing else`() throws {
    let first = try #require(try Self.ask("GET", Console.path, [("accept-encoding", "gzip")]))
    let tag = try #require(first.value(of: "ETag"))
    for known in [tag, "W/\(tag)", "\"other\", \(tag)", "*"] {
      let again = try #require(
        try Self.ask("GET", Console.path, [("accept-encoding", "gzip"), ("if-none-match", known)]))
      #expect(again.status == 304)
      #expect(again.body == nil)
      #expect(again.value(of: "ETag") == tag)
    }
    // The same file in another coding has another tag.
    #expect(try Self.ask("GET", Console.path, [("if-none-match", tag)])?.status == 200)
  }

  @Test(arguments: [
    ("gzip;q=0", false), ("gzip; q=0.0", false), ("gzip;q=0.5", true), ("br", false), ("x-gzip", false),
  ])
  func `Compression is sent to those that accept it`(_ accepted: String, _ isCompressed: Bool) throws {
    let answer = try #require(try Self.ask("GET", Console.path, [("accept-encoding", accepted)]))
    #expect((answer.value(of: "Content-Encoding") != nil) == isCompressed)
    #expect(answer.value(of: "Vary") == "Accept-Encoding")
  }

  @Test func `The path without a slash leads to the console, and other paths do not exist`() throws {
    let redirect = try #require(try Self.ask("GET", "/console"))
    #expect(redirect.status == 308)
    #expect(redirect.value(of: "Location") == "/console/")
    #expect(try Self.ask("GET", "/console/nothing")?.status == 404)
    #expect(try Self.ask("GET", "/console/../etc/passwd")?.status == 404)
    #expect(try Self.ask("POST", "/console/")?.status == 405)
    for foreign in ["/", "/consoles", "/api/v1/devices", "/Console/"] {
      #expect(try Self.ask("GET", foreign) == nil)
    }
  }

  @Test func `The pages may call the provider of OpenID Connect, and learn its names`() throws {
    let provider = OpenIDProvider(
      issuer: "https://id.example.com/a\"b", origin: "https://id.example.com", clientID: "console")
    let console = Console(signIn: provider, routes: ["/api/v1/telegram/link"])
    let page = try #require(try Self.ask("GET", "/console/", of: console))
    #expect(
      page.value(of: "Content-Security-Policy")?.contains("connect-src 'self' https://id.example.com;") == true)
    let settings = try #require(try Self.ask("GET", "/console/config.json", of: console))
    #expect(
      String(decoding: settings.bytes, as: UTF8.self)
        == #"{"oidc":{"issuer":"https://id.example.com/a\"b","client_id":"console"},"features":["telegram"]}"#)
  }

  /// With zlib's own reader.
  private static func uncompressed(_ bytes: [UInt8], count: Int) -> [UInt8] {
    var (stream, input) = (z_stream(), bytes)
    guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
      return []
    }
    defer { inflateEnd(&stream) }
    return input.withUnsafeMutableBufferPointer { input in
      [UInt8](unsafeUninitializedCapacity: count + 1) { output, written in
        stream.next_in = input.baseAddress
        stream.avail_in = uInt(input.count)
        stream.next_out = output.baseAddress
        stream.avail_out = uInt(output.count)
        let status = inflate(&stream, Z_FINISH)
        written = status == Z_STREAM_END ? Int(stream.total_out) : 0
      }
    }
  }
}

extension Response {
  fileprivate var bytes: [UInt8] { body?.withBytes { Array($0) } ?? [] }

  fileprivate func value(of name: String) -> String? { fields.first { "\($0.name)" == name }?.value }
}
