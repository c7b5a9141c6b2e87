@testable import API
@testable import Endpoints
import Registry
import TestSupport
import Testing

/// docs/api.md and docs/problems.md are made from the tables of routes and problems.
@Suite struct APIDocuments {
  private let operations = API.endpoints.operations

  @Test func `The table of routes is made from their declarations`() throws {
    let rows = operations.map { operation in
      let general = API.description.common + operation.access.problems + operation.input.problems
      let problems = operation.problems.filter { !general.contains($0) }
        .map { "[\($0.slug)](problems.md#\($0.slug))" }
      let cells = [
        "`\(operation.method) \(operation.path)`\(Self.parameters(of: operation.input))",
        Self.caller(of: operation.access), String(operation.success.status), operation.summary,
        problems.joined(separator: ", "),
      ]
      return "| \(cells.joined(separator: " | ")) |\n"
    }
    let table =
      "| request | caller | status | meaning | problems |\n| --- | --- | --- | --- | --- |\n" + rows.joined()
    #expect(try GeneratedPart.isUpToDate(table, madeFrom: "Routes", in: "api.md"))
  }

  @Test func `The sections on problems are made from their declarations`() throws {
    let kinds = OpenAPIDocument(of: operations, server: "/", API.description).problemKinds
    let slugs = kinds.map(\.slug).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
    let sections = slugs.map { slug in
      let parts = kinds.filter { $0.slug == slug }.map { kind in
        """
        \(kind.status): \(kind.title). \(kind.detail)

        Answer to \(requests(with: kind)).
        """
      }
      return "## \(slug)\n\n" + parts.joined(separator: "\n\n")
    }
    #expect(
      try GeneratedPart.isUpToDate(
        sections.joined(separator: "\n\n") + "\n", madeFrom: "ProblemKind", in: "problems.md"))
  }

  /// The requests that a kind of problem answers: all requests, those of some callers, or those on some routes.
  private func requests(with kind: ProblemKind) -> String {
    if API.description.everywhere.contains(kind) { return "any request" }
    let callers = operations.filter { $0.access.problems.contains(kind) }.map { Self.caller(of: $0.access) }
    let routes = operations.filter { $0.problems.contains(kind) && !$0.access.problems.contains(kind) }
    if callers.isEmpty, routes.isEmpty || API.description.common.contains(kind) { return "any request" }
    let names = callers.reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
    return (names.map { "any request of \($0)s" } + routes.map { "`\($0.method) \($0.path)`" })
      .joined(separator: ", ")
  }

  /// The names of query parameters and of the body's members, optional ones with a question mark.
  private static func parameters(of input: InputDescription) -> String {
    let query = input.parameters.filter { $0.place == .query }.map(\.name).joined(separator: "=&")
    var text = query.isEmpty ? "" : " `?\(query)=`"
    guard case .object(let keywords)? = input.body?.definition else { return text }
    var (names, required): ([String], [String]) = ([], [])
    for case ("properties", .object(let members)) in keywords { names = members.map(\.name) }
    for case ("required", .array(let values)) in keywords {
      required = values.compactMap { if case .string(let name) = $0 { name } else { nil } }
    }
    let members = names.map { required.contains($0) ? "\"\($0)\"" : "\"\($0)\"?" }.joined(separator: ", ")
    text +=
      input.bodyType == "application/json" ? " `{\(members)}`" : " (form: `\(names.joined(separator: "`, `"))`)"
    return text
  }

  private static func caller(of access: Access) -> String {
    guard case .array(let schemes) = access.security, case .object(let scheme)? = schemes.first,
      let (name, scopes) = scheme.first
    else { return "anyone" }
    if case .array(let scopes) = scopes, !scopes.isEmpty { return "administrator" }
    return name == "owner" ? "owner" : "device"
  }
}

extension APIDocuments {
  @Test func `The document on events has every type`() throws {
    let text = try GeneratedPart.text(of: "events.md")
    for kind in RegistryEvent.Kind.allCases {
      #expect(text.contains("| `\(kind.rawValue)` |"), "\(kind.rawValue)")
    }
  }
}
