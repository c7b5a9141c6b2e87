import EventLoop
import Testing

@Suite("A connection that is made again")
struct ReconnectionTests {
  private var connection = Reconnection(backoffMilliseconds: 50...300)

  @Test
  mutating func `is attempted at once, and ready when its session is set up`() {
    #expect(connection.state == .disconnected(retryAtMilliseconds: 0) && !connection.isReady)
    #expect(connection.duty(at: 1000, deadlineMilliseconds: nil) == .connect)
    #expect(connection.state == .connecting)
    #expect(connection.duty(at: 1000, deadlineMilliseconds: nil) == nil)
    connection.connected()
    #expect(connection.state == .preparing && !connection.isReady)
    connection.prepared()
    #expect(connection.isReady)
    #expect(connection.duty(at: .max, deadlineMilliseconds: nil) == nil)
  }

  @Test
  mutating func
    `waits twice as long after each failed attempt, up to the maximum, and from the minimum again once it was ready`()
  {
    var now: Int64 = 1000
    for (wait, fails) in [
      (50, "connecting"), (100, "preparing"), (200, "connecting"), (300, "preparing"), (300, ""),
    ] {
      #expect(connection.duty(at: now, deadlineMilliseconds: nil) == .connect)
      if fails == "preparing" { connection.connected() }
      connection.lost(at: now)
      #expect(connection.state == .disconnected(retryAtMilliseconds: now + Int64(wait)))
      now += Int64(wait)
      #expect(connection.duty(at: now - 1, deadlineMilliseconds: nil) == nil)
    }
    makeReady(at: now)
    connection.lost(at: now)
    #expect(connection.duty(at: now, deadlineMilliseconds: nil) == .connect)
    connection.lost(at: now)
    #expect(connection.state == .disconnected(retryAtMilliseconds: now + 50))
  }

  @Test
  mutating func `is given up when an answer is overdue, while it is set up and afterwards`() {
    _ = connection.duty(at: 0, deadlineMilliseconds: 0)
    #expect(connection.duty(at: 10, deadlineMilliseconds: 0) == nil)
    connection.connected()
    #expect(connection.duty(at: 9, deadlineMilliseconds: 10) == nil)
    #expect(connection.duty(at: 10, deadlineMilliseconds: 10) == .giveUp)
    connection.prepared()
    #expect(connection.duty(at: 9, deadlineMilliseconds: 10) == nil)
    #expect(connection.duty(at: 10, deadlineMilliseconds: 10) == .giveUp)
    connection.lost(at: 10)
    #expect(connection.duty(at: 10, deadlineMilliseconds: 10) == .connect)
  }

  @Test
  mutating func `tries another address within one attempt, which fails once`() {
    _ = connection.duty(at: 0, deadlineMilliseconds: nil)
    connection.connected()
    connection.reconnecting()
    #expect(connection.state == .connecting)
    connection.lost(at: 0)
    #expect(connection.state == .disconnected(retryAtMilliseconds: 50))
  }

  @Test
  mutating func `plans one attempt where it is lost twice`() {
    _ = connection.duty(at: 0, deadlineMilliseconds: nil)
    connection.lost(at: 0)
    connection.lost(at: 40)
    #expect(connection.state == .disconnected(retryAtMilliseconds: 50))
  }

  @Test
  mutating func `does nothing more once it is closed`() {
    makeReady(at: 0)
    connection.close()
    connection.lost(at: 0)
    #expect(connection.state == .closed)
    #expect(connection.duty(at: .max, deadlineMilliseconds: 0) == nil)
  }

  private mutating func makeReady(at now: Int64) {
    _ = connection.duty(at: now, deadlineMilliseconds: nil)
    connection.connected()
    connection.prepared()
  }
}
