import Glibc
import Registry
import TestSupport
import Testing

@testable import PostgresStore

@Suite("PostgreSQL: the feed of events", .timeLimit(.minutes(1))) struct PostgresEventTests {
  @Test func `A transaction that stays open delays events, and hides none`() async throws {
    let database = try await TestDatabase(.postgres, on: await .quiet)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      let start = try await store.seenEvents().next
      let slow = await SQLSession(database.location)
      try await slow.run("BEGIN")
      try await slow.run(
        """
        INSERT INTO events (type, at, client_id, actor_kind) VALUES ('client.updated', now(), 'alice', 'system')
        """)
      try await store.add("fast")
      let hidden = try await store.events(of: alice, after: start, .all, limit: 10, scan: 10)
      #expect(hidden.events.isEmpty && hidden.isLast && hidden.hasHidden)
      #expect(try await store.firstHiddenEvent() == noon)
      try await slow.run("COMMIT")
      let page = try await store.seenEvents(after: hidden.next)
      #expect(page.events.map(\.type) == ["client.updated", "device.registered"])
      #expect(!page.hasHidden)
    }
  }

  @Test func `Renames and revocations that share a statement record their own event each`() async throws {
    let database = try await TestDatabase(.postgres, on: await .quiet)
    try await RunningPostgresStore.with(database.location) { running in
      await running.waitUntilConnected()
      let ids = try await running.onLoop { try await $0.addDevices(30) }
      let events = try await running.onLoop { store in
        let end = try await store.seenEvents().next
        let outcomes = await store.outcomes(30) { index in
          let change = Change(by: .owner("alice"), at: noon, requestID: "request \(index)")
          if index < 20 {
            _ = try await store.renameDevice(
              ids[index], of: alice, to: DeviceName("new \(index)"), change: change)
          } else {
            _ = try await store.revokeDevice(ids[index], of: alice, change: change)
          }
        }
        #expect(outcomes == [nil: 30])
        return try await store.seenEvents(after: end).events
      }
      #expect(events.count { $0.type == "device.updated" } == 20)
      #expect(events.count { $0.type == "device.revoked" } == 10)
      for (index, id) in ids.enumerated() {
        #expect(events.contains { $0.deviceID == id && $0.requestID == "request \(index)" })
      }
    }
  }

  @Test func `A dump that is restored into another cluster keeps its feed`() async throws {
    let database = try await TestDatabase(.postgres, on: await .quiet)
    try await database.withStore { store in
      try await store.insertClient(client("alice"))
      try await store.add("before")
    }
    let restored = try await TestDatabase(.postgres, on: await .shared, isMigrated: false)
    let tools = PostgresCluster.binaries
    let directory = TemporaryDirectory()
    let dump = "\(tools)/pg_dump --file='\(directory.path)/dump' '\(database.location)'"
    let restore = "\(tools)/psql -q -v ON_ERROR_STOP=1 -f '\(directory.path)/dump' '\(restored.location)'"
    try await onOwnThread { try #require(system("\(dump) && \(restore) >/dev/null") == 0) }
    // What each start does. It begins one epoch, in the first process that starts there.
    for _ in 0..<2 { try await restored.migrate() }
    #expect(try await restored.sql("SELECT epoch FROM event_feed") == "2")
    // A reader that had read all of the old cluster, and one that had read nothing.
    let end = try await database.withStore { try await $0.seenEvents().next }
    try await restored.withStore { store in
      try await store.add("after")
      #expect(
        try await store.seenEvents().events.map(\.type)
          == ["client.created", "device.registered", "device.registered"])
      let next = try await store.seenEvents(after: end)
      #expect(next.events.map(\.type) == ["device.registered"])
      #expect(next.next > end)
    }
  }

  @Test func `Readers in all processes are notified of a client's events`() async throws {
    let database = try await TestDatabase(.postgres, on: await .quiet)
    try await RunningListener.with(database) { listening in
      try await database.withStore { store in
        try await store.insertClient(client("alice"))
        try await store.add("one")
        try await wait { listening.observer.recording == [alice] }
      }
    }
  }
}
