import RequestSignature

/// The messages of RFC 9421, appendix B.2.
enum StandardMessages {
  static let requestFields: Fields = [
    "host": ["example.com"],
    "date": ["Tue, 20 Apr 2021 02:07:55 GMT"],
    "content-type": ["application/json"],
    "content-digest": [
      "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
    ],
    "content-length": ["18"],
  ]

  static var request: RequestView {
    RequestView(
      method: "POST", target: "/foo?param=Value&Pet=dog", scheme: "https", authority: "example.com",
      body: Array(#"{"hello": "world"}"#.utf8)
    ) { requestFields[$0] ?? [] }
  }

  static let responseFields: Fields = [
    "date": ["Tue, 20 Apr 2021 02:07:56 GMT"],
    "content-type": ["application/json"],
    "content-digest": [
      "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:"
    ],
    "content-length": ["23"],
  ]

  static var response: ResponseView {
    ResponseView(status: 200, body: Array(#"{"message": "good dog"}"#.utf8)) {
      responseFields[$0] ?? []
    }
  }
}
