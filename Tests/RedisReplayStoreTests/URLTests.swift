import Testing

@testable import RedisReplayStore

@Suite("Redis: URLs") struct RedisURLTests {
  @Test
  func `Host, port and database are read`() throws {
    let url = try #require(RedisURL("redis://redis.example:6380/7"))
    #expect((url.host, url.port, url.database) == ("redis.example", 6380, 7))
    #expect((url.user, url.password) == ("", ""))
  }

  @Test(arguments: [
    "redis://10.0.0.1:6379", "redis://10.0.0.1:6379/", "redis://10.0.0.1", "redis://:password@10.0.0.1/0",
  ])
  func `The default port is 6379, and the default database 0`(_ text: String) throws {
    let url = try #require(RedisURL(text))
    #expect((url.host, url.port, url.database) == ("10.0.0.1", 6379, 0))
  }

  @Test
  func `User and password are percent-decoded once`() throws {
    let url = try #require(RedisURL("redis://a%3Ab:p%40ss:%2541@h:1/0"))
    #expect((url.user, url.password, url.host, url.port) == ("a:b", "p@ss:%41", "h", 1))
    let password = try #require(RedisURL("redis://:secret@h:1"))
    #expect((password.user, password.password) == ("", "secret"))
  }

  @Test
  func `An IPv6 address is in brackets`() throws {
    #expect(try #require(RedisURL("redis://[::1]:6380/0")).port == 6380)
    #expect(try #require(RedisURL("redis://[::1]")).host == "::1")
  }

  @Test(arguments: [
    "", "redis", "redis://", "redis:///0", "redis://::1", "redis://h:/0", "redis://:6379/0",
    "redis://h:0/0", "redis://h:65536/0", "redis://h:+1/0", "redis://h:1/x", "redis://h:1/-1",
    "redis://h:1/0/0",
    "redis://h:1/99999999999", "redis://h:1/0?x=1", "redis://h:1#x", "rediss://h:1/0", "REDIS://h:1/0",
    "redis://user@h:1/0", "redis://user:@h:1/0", "redis://@h:1/0", "redis://:p%4@h:1/0",
    "redis://:p%zz@h:1/0",
    "redis://:p%+1@h:1/0", "redis://:%ff@h:1/0", "redis://:p@x@h:1/0", "redis://h h:1/0",
    "redis://::1:6379/0",
    "redis://[]:1/0", "redis://[h]:1/0", "redis://[::1]6379/0", "redis://h\0:1/0", " redis://h:1/0",
  ])
  func `Any other form is refused`(_ text: String) { #expect(RedisURL(text) == nil) }

  @Test
  func `A URL prints without its password`() throws {
    let url = try #require(RedisURL("redis://user:hunter2@h:1/0"))
    var dumped = ""
    dump(url, to: &dumped)
    #expect(!"\(url) \(String(reflecting: url)) \(dumped)".contains("hunter2"))
  }
}
