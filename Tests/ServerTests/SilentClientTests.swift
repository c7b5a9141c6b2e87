import Foundation
import HTTP
import Server
import TestSupport
import Testing

/// A client that opens connections and is silent does not keep others out.
@Suite struct SilentClients {
  @Test
  func `A client with all connections from two addresses does not keep others out, and the metrics count it`()
    async throws
  {
    try await TestRegistry.with(
      await TestDatabase(.sqlite), settings: ["MAX_CONNECTIONS_PER_ADDRESS": "40"],
      bounds: { $0.limits.maximumConnectionsPerLoop = 16 }
    ) { registry in
      let owner = try await registry.newOwner()
      let sockets = try ["127.0.0.2", "127.0.0.3"].flatMap { address in
        try (0..<40).map { _ in
          try ClientSocket(
            port: registry.client.port, from: address, deadline: Date(timeIntervalSinceNow: 30))
        }
      }
      for _ in 0..<40 {
        #expect(try await registry.ask("GET", "/healthz").status == 200)
        #expect(try await registry.ask("GET", "/api/v1/devices", as: owner).status == 200)
      }
      let closed = try await registry.metric(#"http_connections_closed_total{bound="idle"}"#)
      #expect(try #require(closed) >= 48)
      #expect(try await registry.metric("http_unread_answer_bytes") == 0)
      withExtendedLifetime(sockets) {}
    }
  }
}
