import Registry
import Testing

@testable import PostgresStore

@Suite("PostgreSQL: connection parameters") struct PostgresParametersTests {
  @Test
  func `Settings that the URL omits have defaults`() throws {
    let parameters = try PostgresParameters(url: "postgresql://user:pw@db:5433/name")
    #expect(parameters["host"] == "db" && parameters["port"] == "5433" && parameters["dbname"] == "name")
    #expect(parameters["connect_timeout"] == "3" && parameters["tcp_user_timeout"] == "5000")
    #expect(parameters["application_name"] == "device-registry" && parameters["client_encoding"] == "UTF8")
    #expect(parameters["target_session_attrs"] == nil)
  }

  @Test
  func `The URL overrides defaults, except unlimited timeouts and the encoding`() throws {
    let url = "postgresql://db/x?connect_timeout=9&application_name=mine&keepalives_idle=60"
    let parameters = try PostgresParameters(url: url)
    #expect(parameters["connect_timeout"] == "9" && parameters["application_name"] == "mine")
    #expect(parameters["keepalives_idle"] == "60")
    for none in ["connect_timeout=0", "connect_timeout=-1", "connect_timeout=x&client_encoding=LATIN1"] {
      let parameters = try PostgresParameters(url: "postgresql://db/x?\(none)")
      #expect(parameters["connect_timeout"] == "3" && parameters["client_encoding"] == "UTF8", "\(none)")
    }
  }

  @Test
  func `With several hosts the writable one is used, unless the URL says otherwise`() throws {
    for url in ["postgresql://a,b:5433/x", "host=a,b", "hostaddr=10.0.0.1,10.0.0.2"] {
      #expect(try PostgresParameters(url: url)["target_session_attrs"] == "read-write", "\(url)")
    }
    let any = try PostgresParameters(url: "postgresql://a,b/x?target_session_attrs=any")
    #expect(any["target_session_attrs"] == "any")
  }

  @Test(arguments: [
    "mysql://user:pass-word@db/x", "postgresql://user:pass-word@db:port/x",
    "postgresql://user:100%pass-word@db/x",
    "postgresql://user:pass-word/rest@db/x", "postgresql://user:pass-word@db:70000/x",
    "postgresql://user:pass-word@db/x?nonsense=1",
  ])
  func `The error for a malformed URL contains no part of the password`(_ url: String) {
    let error = #expect(throws: PostgresURLError.self) { try PostgresParameters(url: url) }
    let text = error?.description ?? ""
    #expect(!text.contains("pass-word") && text.contains("postgresql://user:password@host:port/database"))
  }

  @Test
  func `Parameters print as redacted`() throws {
    let parameters = try PostgresParameters(url: "postgresql://user:pass-word@db/x")
    var dumped = ""
    dump(parameters, to: &dumped)
    #expect("\(parameters)" == "<redacted>" && String(reflecting: parameters) == "<redacted>")
    #expect(!dumped.contains("pass-word"))
  }
}

@Suite("PostgreSQL: time on the wire") struct PostgresTimeTests {
  @Test(
    arguments: [
      (946_684_800_000, 0), (946_684_800_001, 1000), (946_684_799_999, -1000), (0, -946_684_800_000_000),
      (-1, -946_684_800_001_000),
    ] as [(Int64, Int64)])
  func `Milliseconds since 1970 convert to microseconds since 2000 and back`(
    _ milliseconds: Int64, _ microseconds: Int64
  ) {
    let time = Timestamp(millisecondsSince1970: milliseconds)
    #expect(PostgresTime.microseconds(of: time) == microseconds)
    #expect(PostgresTime.timestamp(microseconds: microseconds) == time)
  }

  @Test
  func `Microseconds are rounded down, before 2000 too`() {
    #expect(PostgresTime.timestamp(microseconds: 1999).millisecondsSince1970 == 946_684_800_001)
    #expect(PostgresTime.timestamp(microseconds: -1).millisecondsSince1970 == 946_684_799_999)
    #expect(PostgresTime.timestamp(microseconds: -1000).millisecondsSince1970 == 946_684_799_999)
    #expect(PostgresTime.timestamp(microseconds: -1001).millisecondsSince1970 == 946_684_799_998)
  }

  @Test
  func `Times out of PostgreSQL's range become infinite`() {
    for (milliseconds, expected) in [
      (Int64.min, Int64.min), (.max, .max), (-300_000_000_000_000, .min), (9_300_000_000_000_000, .max),
    ] as [(Int64, Int64)] {
      #expect(PostgresTime.microseconds(of: Timestamp(millisecondsSince1970: milliseconds)) == expected)
    }
  }
}

@Suite("PostgreSQL: the number of connections") struct PostgresLimitsTests {
  @Test(arguments: [(1, 2, 8), (4, 2, 8), (8, 2, 4), (10, 2, 3), (16, 2, 2), (32, 1, 1), (64, 1, 1), (0, 2, 8)])
  func `The number per process is bounded, and every loop has one of each kind`(
    _ loops: Int, _ reads: Int, _ writes: Int
  ) {
    let limits = PostgresLimits(loops: loops)
    #expect(limits.readConnections == reads && limits.writeConnections == writes)
  }
}
