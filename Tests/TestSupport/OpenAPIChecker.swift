import Foundation

/// Holds answers against the OpenAPI document that promises them: status, header fields, type and shape.
///
/// `@unchecked Sendable`: the document is never changed.
public final class OpenAPIChecker: @unchecked Sendable {
  private let document: [String: Any]
  private let schemas: JSONSchemaChecker

  public init(document: [UInt8]) throws {
    guard let json = try JSONSerialization.jsonObject(with: Data(document)) as? [String: Any] else {
      throw HTTPClientError("the OpenAPI document is not a JSON object")
    }
    self.document = json
    schemas = JSONSchemaChecker(document: json)
  }

  /// In what the answer breaks the document's word; empty if in nothing.
  public func violations(of answer: HTTPAnswer, to method: String, _ target: String) -> [String] {
    let path = String(target.prefix { $0 != "?" })
    guard let response = response(to: method, path, status: answer.status) else {
      return ["\(method) \(path): status \(answer.status) is not declared"]
    }
    return
      (headerViolations(of: answer, response) + bodyViolations(of: answer, response, isHead: method == "HEAD"))
      .map { "\(method) \(path): \(answer.status): \($0)" }
  }

  /// The response object for an answer; what belongs to no operation is among the components.
  private func response(to method: String, _ path: String, status: Int) -> [String: Any]? {
    let paths = document["paths"] as? [String: Any] ?? [:]
    // A path without parameters takes precedence (OpenAPI 3.1, paths object).
    let item = (paths[path] ?? paths.first { Self.matches($0.key, path) }?.value) as? [String: Any]
    // Methods are case-sensitive: `get` is not GET.
    let name = method == "HEAD" ? "get" : method == method.uppercased() ? method.lowercased() : ""
    let operation = item?[name] as? [String: Any]
    let declared =
      operation == nil
      ? (resolve("#/components/responses/Problem\(status)"))
      : (operation?["responses"] as? [String: Any])?[String(status)] as? [String: Any]
    return (declared?["$ref"] as? String).map(resolve) ?? declared
  }

  private static func matches(_ template: String, _ path: String) -> Bool {
    let (wanted, found) = (template.components(separatedBy: "/"), path.components(separatedBy: "/"))
    return wanted.count == found.count
      && zip(wanted, found).allSatisfy { $0 == $1 || $0.hasPrefix("{") && !$1.isEmpty }
  }

  private func resolve(_ reference: String) -> [String: Any]? { schemas.resolve(reference) }

  private func headerViolations(of answer: HTTPAnswer, _ response: [String: Any]) -> [String] {
    let headers = response["headers"] as? [String: Any] ?? [:]
    return headers.flatMap { name, entry -> [String] in
      let entry = entry as? [String: Any] ?? [:]
      guard let header = (entry["$ref"] as? String).map(resolve) ?? entry else {
        return ["\(name): no such header"]
      }
      guard let value = answer.value(of: name) else {
        return header["required"] as? Bool == true ? ["\(name) is missing"] : []
      }
      let schema = header["schema"] as? [String: Any] ?? [:]
      let typed: Any = schema["type"] as? String == "integer" ? Int(value).map { $0 as Any } ?? value : value
      return schemas.violations(of: typed, schema, at: name)
    } + undeclared(in: answer, headers)
  }

  /// Fields that carry meaning must not come without being declared.
  private func undeclared(in answer: HTTPAnswer, _ headers: [String: Any]) -> [String] {
    ["location", "link", "allow", "www-authenticate", "retry-after", "ratelimit", "ratelimit-policy"].filter {
      name in
      answer.value(of: name) != nil && !headers.keys.contains { $0.lowercased() == name }
    }
    // A challenge may come with any 403 that also has other reasons.
    .filter { !($0 == "www-authenticate" && answer.status == 403) }
    .map { "\($0) is not declared" }
  }

  private func bodyViolations(of answer: HTTPAnswer, _ response: [String: Any], isHead: Bool) -> [String] {
    guard let content = response["content"] as? [String: Any] else {
      return answer.body.isEmpty ? [] : ["there is a body, and none is declared"]
    }
    // `text/csv; header=present`
    let type = answer.value(of: "content-type").map {
      $0.hasPrefix("text/") ? String($0.prefix { $0 != ";" }) : $0
    }
    guard let type, let media = content[type] as? [String: Any] else {
      return ["the content type \(answer.value(of: "content-type") ?? "none") is not declared"]
    }
    if isHead { return answer.body.isEmpty ? [] : ["HEAD has a body"] }
    guard !type.hasPrefix("text/") else { return [] }
    guard let json = try? answer.json() else { return ["the body is not JSON"] }
    return schemas.violations(of: json, media["schema"] as? [String: Any] ?? [:], at: "body")
  }
}
