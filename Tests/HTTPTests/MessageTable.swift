@testable import HTTP

// Requests, and what RFC 9112 makes of them.

extension ConnectionMachineTests {
  private static let get = "GET / HTTP/1.1\r\nHost: a\r\n"
  private static let post = "POST / HTTP/1.1\r\nHost: a\r\n"
  private static let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

  static let accepted: [(String, [String])] = [
    // Section 2.2: an empty line before a request is ignored.
    ("\r\n\(get)\r\n", ["GET /"]),
    // Section 3.2: the forms of a target.
    ("GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n", ["GET /a?b=c"]),
    ("GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", ["GET /b?c"]),
    ("GET HTTPS://A:80/b HTTP/1.1\r\nHost: a:80\r\n\r\n", ["GET /b"]),
    ("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", ["GET /"]),
    ("GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n", ["GET /?b"]),
    ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ["OPTIONS *"]),
    ("PROPFIND /a HTTP/1.1\r\nHost: a\r\n\r\n", ["PROPFIND /a"]),
    // Section 5: optional white space around a value, and values that are empty.
    ("\(get)X:\r\n\r\n", ["GET / x=0 bytes"]), ("\(get)X: \t b\t \r\n\r\n", ["GET / x=1 byte"]),
    ("\(get)X:b\r\nx: c\r\n\r\n", ["GET / x=4 bytes"]), ("\(get)X: a\tb\r\n\r\n", ["GET / x=3 bytes"]),
    // Section 6.2: a length.
    ("\(post)Content-Length: 0\r\n\r\n", ["POST /"]),
    ("\(post)Content-Length: 3\r\n\r\nabc", ["POST / content=3 bytes"]),
    ("\(post)Content-Length: 3 \r\n\r\nabc", ["POST / content=3 bytes"]),
    ("\(post)content-length:\t003\r\n\r\nabc", ["POST / content=3 bytes"]),
    ("\(get)Content-Length: 1\r\n\r\na", ["GET / content=1 byte"]),
    ("\(post)Content-Length: 5\r\n\r\n\u{0}\u{0}\r\n\u{0}", ["POST / content=5 bytes"]),
    // Section 7.1: chunks, their extensions, and a trailer section.
    ("\(chunked)0\r\n\r\n", ["POST /"]),
    ("\(chunked)3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", ["POST / content=5 bytes"]),
    ("\(chunked)00A\r\n0123456789\r\n000\r\n\r\n", ["POST / content=10 bytes"]),
    ("\(chunked)3;a=b\r\nabc\r\n0;c\r\n\r\n", ["POST / content=3 bytes"]),
    ("\(chunked)3;a=\"b c\"\r\nabc\r\n0\r\n\r\n", ["POST / content=3 bytes"]),
    ("\(chunked)1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n", ["POST / content=1 byte"]),
    ("\(post)Transfer-Encoding: \tChunked \r\n\r\n1\r\na\r\n0\r\n\r\n", ["POST / content=1 byte"]),
  ]

  static let refused: [(String, Refusal)] = [
    // Section 2.2: line ends are CRLF, and blanks are where they belong.
    ("\n\(get)\r\n", .invalidRequestLine), ("\r\n\r\n\(get)\r\n", .invalidRequestLine),
    ("GET / HTTP/1.1\nHost: a\r\n\r\n", .invalidRequestLine),
    ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", .invalidRequestLine),
    ("\(get)X: b\n\r\n", .invalidField), ("\(get)X: b\r\n\n", .invalidField),
    ("\(get)X: b\rY: c\r\n\r\n", .invalidField),
    ("GET / HTTP/1.1\r\n X: b\r\nHost: a\r\n\r\n", .invalidField),
    // Section 2.3: versions.
    ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", .versionNotSupported),
    ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", .versionNotSupported),
    ("GET / HTTP/3.7\r\nHost: a\r\n\r\n", .versionNotSupported),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .versionNotSupported),
    ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", .invalidRequestLine),
    ("GET / HTTP/1\r\nHost: a\r\n\r\n", .invalidRequestLine),
    ("GET / http/1.1\r\nHost: a\r\n\r\n", .invalidRequestLine),
    ("SOURCE / ICE/1.0\r\nHost: a\r\n\r\n", .invalidRequestLine),
    ("SETUP / RTSP/1.0\r\n\r\n", .invalidRequestLine),
    // Section 3: the request line.
    ("GET /\r\n\r\n", .invalidRequestLine), ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", .invalidRequestLine),
    ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", .invalidRequestLine),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", .invalidRequestLine),
    ("GET / b HTTP/1.1\r\nHost: a\r\n\r\n", .invalidRequestLine),
    // Section 3.1: methods.
    ("G<T / HTTP/1.1\r\n", .invalidMethod), ("get / HTTP/1.1\r\n", .unknownMethod),
    ("BREW / HTTP/1.1\r\n", .unknownMethod), ("GE / HTTP/1.1\r\n", .unknownMethod),
    (" GET / HTTP/1.1\r\n", .invalidMethod), ("\r\n / HTTP/1.1\r\n", .invalidMethod),
    // Section 3.2: targets and hosts.
    ("GET /\u{0} HTTP/1.1\r\n", .invalidTarget), ("GET /é HTTP/1.1\r\n", .invalidTarget),
    ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
    ("GET http:///b HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
    ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
    ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", .otherAuthority),
    ("GET http://a:1/ HTTP/1.1\r\nHost: a\r\n\r\n", .otherAuthority),
    ("GET / HTTP/1.1\r\n\r\n", .missingHost), ("\(get)Host: a\r\n\r\n", .repeatedHost),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", .invalidHost), ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .invalidHost),
    ("GET / HTTP/1.1\r\nHost: x@a\r\n\r\n", .invalidHost),
    ("GET / HTTP/1.1\r\nHost: {a|b}\r\n\r\n", .invalidHost),
    ("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", .invalidHost),
    // Section 5: field lines.
    ("\(get)X : b\r\n\r\n", .invalidField), ("\(get)X\t: b\r\n\r\n", .invalidField),
    ("\(get): b\r\n\r\n", .invalidField),
    ("\(get)X\r\n\r\n", .invalidField), ("\(get)X Y: b\r\n\r\n", .invalidField),
    ("\(get)X\u{0}: b\r\n\r\n", .invalidField),
    ("\(get)X: \u{0}\r\n\r\n", .invalidField), ("\(get)X: a\u{1}b\r\n\r\n", .invalidField),
    ("\(get)X: a\u{7F}\r\n\r\n", .invalidField),
    // Section 5.2: folded lines.
    ("\(get)X: a\r\n b\r\n\r\n", .invalidField), ("\(get)X:\r\n\tb\r\n\r\n", .invalidField),
    ("\(get)X:\r\n \r\n\r\n", .invalidField),
    ("\(post)Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", .invalidField),
    // Section 6.1: transfer codings.
    ("\(post)Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", .invalidTransferEncoding),
    ("\(post)Transfer-Encoding: identity\r\n\r\n", .invalidTransferEncoding),
    ("\(post)Transfer-Encoding:\r\n\r\n", .invalidTransferEncoding),
    ("\(post)Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", .invalidTransferEncoding),
    ("\(post)Transfer-Encoding: xchunked\r\n\r\n", .invalidTransferEncoding),
    ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", .invalidTransferEncoding),
    // Sections 6.2 and 6.3: lengths.
    ("\(post)Content-Length: 1\r\nContent-Length: 1\r\n\r\na", .conflictingLengths),
    ("\(post)Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", .conflictingLengths),
    ("\(post)Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", .conflictingLengths),
    ("\(post)Content-Length:\r\n\r\n", .invalidContentLength),
    ("\(post)Content-Length: abc\r\n\r\n", .invalidContentLength),
    ("\(post)Content-Length: -1\r\n\r\n", .invalidContentLength),
    ("\(post)Content-Length: +5\r\n\r\n", .invalidContentLength),
    ("\(post)Content-Length: 0x5\r\n\r\n", .invalidContentLength),
    ("\(post)Content-Length: 5, 5\r\n\r\n", .invalidContentLength),
    ("\(post)Content-Length: 5 5\r\n\r\n", .invalidContentLength),
    ("\(post)Content-Length: 18446744073709551616\r\n\r\n", .invalidContentLength),
    // Section 7.1: chunks.
    ("\(chunked)5\nabcde\r\n0\r\n\r\n", .invalidChunk), ("\(chunked)5 \r\n", .invalidChunk),
    ("\(chunked)0x1\r\n", .invalidChunk),
    ("\(chunked)-1\r\n", .invalidChunk), ("\(chunked)\r\n", .invalidChunk),
    ("\(chunked)10000000000000000\r\n", .invalidChunk),
    ("\(chunked)5;\r\n", .invalidChunk), ("\(chunked)5;bad[=x\r\n", .invalidChunk),
    ("\(chunked)5;\u{0}\r\n", .invalidChunk),
    ("\(chunked)5;a\rX\r\n", .invalidChunk), ("\(chunked)1\r\nab0\r\n\r\n", .invalidChunk),
    ("\(chunked)1\r\na\n0\r\n\r\n", .invalidChunk),
    // Section 7.1.2: trailer sections.
    ("\(chunked)0\r\nA B: c\r\n\r\n", .invalidField), ("\(chunked)0\r\na : b\r\n\r\n", .invalidField),
    ("\(chunked)0\r\na: b\u{0}\r\n\r\n", .invalidField), ("\(chunked)0\r\na: b\r\n c\r\n\r\n", .invalidField),
    ("\(chunked)0\r\n: b\r\n\r\n", .invalidField), ("\(chunked)0\r\na: b\r\n\n", .invalidField),
    ("\(chunked)0\r\n\n", .invalidField),
    ("\(chunked)0\r\nTransfer-Encoding: chunked\r\n\r\n", .invalidTransferEncoding),
  ]
}
