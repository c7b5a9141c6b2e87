import Foundation
import TestSupport
import Testing

extension DeviceRegistry {
  /// The blocks of docs/fleet.md below `<!-- tried: ... -->`, in their order, as a user pastes them.
  @Suite("docs/fleet.md") struct FleetDocument {
    private static func blocks() throws -> [(name: String, lines: String)] {
      let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
      let text = try String(contentsOfFile: "/\(root)/docs/fleet.md", encoding: .utf8)
      return text.split(separator: "<!-- tried: ").dropFirst().map { part in
        let lines = part.split(separator: "\n", omittingEmptySubsequences: false)
        let block = lines.dropFirst().drop { $0.isEmpty }.prefix { $0.hasPrefix("    ") }
        return (String(lines[0].prefix { $0 != "-" }), block.map { $0.dropFirst(4) }.joined(separator: "\n"))
      }
    }

    @Test(arguments: DatabaseKind.allCases)
    func `Each recipe works`(_ kind: DatabaseKind) async throws {
      let owner = try await CommandLineOwner(at: registry(kind))
      let programs = Program.built.prefix(through: Program.built.lastIndex(of: "/")!).dropLast()
      let blocks = try Self.blocks()
      #expect(blocks.count > 8)
      for (name, lines) in blocks {
        #expect(!lines.isEmpty, "\(name)")
        let result = try await Program.run(
          ["-euo", "pipefail", "-c", "cd \(owner.directory.path)\n\(lines)"],
          owner.environment.filter { !$0.hasPrefix("PATH=") } + ["PATH=\(programs):/usr/bin:/bin"],
          executable: "/bin/bash")
        #expect(result.status == 0, "\(name): \(result.output)\n\(result.errors)")
      }
      // What the recipes leave behind.
      let list = try await owner.output("devices", "list", "--output", "csv")
      #expect(list.contains("EA-2,active") && !list.contains("EA-3"), "\(list)")
      #expect(try await owner.output("devices", "show", "EA-2").contains("vps:ldn-3"))
    }
  }
}
