// swift-tools-version: 6.3
import PackageDescription

// As strict as the toolchain goes: a warning is a defect.
let strict: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

/// Of the rooms of the server. What is confined to a loop is not accessed by two at once, and the tests, which are built with
/// the checks, would trap if it were: a request is hundreds of such accesses.
let serverRoom: [SwiftSetting] =
  strict + [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

/// A C library from the distribution, found by pkg-config where it needs to be, installed by apt.
func system(_ name: String, pkgConfig: String?, apt: String) -> Target {
  .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([apt])])
}

/// A room of our own: a folder in Sources/ and what it may know of.
///
/// - Parameters:
///   - excluded: files below it that are not of the target.
///   - isInClient: whether the client library is made of it too. A package that others depend on must not have
///     unsafe flags.
func room(
  _ name: String, knows dependencies: [Target.Dependency] = [], holds resources: [Resource] = [],
  without excluded: [String] = [], isInClient: Bool = false
) -> Target {
  .target(
    name: name, dependencies: dependencies, exclude: excluded, resources: resources,
    swiftSettings: isInClient ? strict : serverRoom)
}

/// - Parameter scripts: what its tests run with another language's interpreter, found by `#filePath`.
func suite(
  _ name: String, of dependencies: [Target.Dependency], golden resources: [Resource] = [],
  scripts: [String] = []
) -> Target {
  .testTarget(
    name: name, dependencies: dependencies + ["TestSupport"], exclude: scripts, resources: resources,
    swiftSettings: strict)
}

let package = Package(
  name: "device-registry",
  products: [
    .executable(name: "device-registry", targets: ["device-registry"]),
    .executable(name: "device-registry-device", targets: ["device-registry-device"]),
    .executable(name: "device-registry-owner", targets: ["device-registry-owner"]),
    .library(name: "DeviceRegistryClient", targets: ["DeviceRegistryClient"]),
  ],
  targets: [
    system("CLibuv", pkgConfig: "libuv", apt: "libuv1-dev"),
    // The sources of Debian's llhttp, which scripts/install-packages.sh unpacks under .build.
    .target(name: "CLLHTTP", cSettings: [.define("LLHTTP_STRICT_MODE", to: "1")]),
    // Socket filters and messages with descriptors, which Glibc's module lacks.
    .target(name: "CSocket"),
    system("CGnuTLS", pkgConfig: "gnutls", apt: "libgnutls28-dev"),
    system("CPostgres", pkgConfig: "libpq", apt: "libpq-dev"),
    system("CSQLite", pkgConfig: "sqlite3", apt: "libsqlite3-dev"),
    system("CSodium", pkgConfig: "libsodium", apt: "libsodium-dev"),
    system("CNettle", pkgConfig: "nettle", apt: "nettle-dev"),
    // Only tests use this, to make keys that sign tokens.
    system("COpenSSL", pkgConfig: "libcrypto", apt: "libssl-dev"),
    system("CCjose", pkgConfig: "cjose", apt: "libcjose-dev"),
    system("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
    // Its pkg-config file has a -D, which the package manager refuses with a warning at each build.
    system("CHiredis", pkgConfig: nil, apt: "libhiredis-dev"),
    system("CZlib", pkgConfig: "zlib", apt: "zlib1g-dev"),

    // How values are written as text. It shares libsodium with Crypto.
    room("Encoding", knows: ["CSodium"], isInClient: true),

    // A command line as a table: its parsing, help and completion.
    room("Commands", isInClient: true),

    // The domain. It knows no adapter, and does no input or output.
    room("Registry", knows: ["Encoding"]),

    // The rooms around it. Each C library but libsodium and libcurl has one owner, and adapters do not
    // know each other.
    room("EventLoop", knows: ["CLibuv", "CSocket"]),
    room("HTTP", knows: ["Encoding", "EventLoop", "CLLHTTP", "CGnuTLS"]),
    room("Crypto", knows: ["Encoding", "CSodium", "CNettle"], isInClient: true),
    // One exchange of libcurl, for those that run it on a loop or on a thread.
    room("Curl", knows: ["CCurl"], isInClient: true),
    room("HTTPClient", knows: ["Curl", "Encoding", "EventLoop", "CCurl"]),
    room("JSON", knows: ["Encoding"]),
    room("JSONWebToken", knows: ["Encoding", "JSON", "CCjose"]),
    room("RequestSignature", knows: ["Crypto", "Encoding"], isInClient: true),
    room("Observability", knows: ["Encoding"]),
    room("Migrations", knows: ["Encoding"]),
    room(
      "PostgresStore", knows: ["Encoding", "Registry", "EventLoop", "Migrations", "CPostgres"],
      holds: [.embedInCode("Migrations")]),
    room(
      "SQLiteStore", knows: ["Registry", "EventLoop", "Migrations", "CSQLite"],
      holds: [.embedInCode("Migrations")]),
    // Delivers events to receivers.
    room("Webhooks", knows: ["Crypto", "Encoding", "EventLoop", "HTTPClient", "Registry"]),
    // The Telegram bot.
    room("Telegram", knows: ["Encoding", "EventLoop", "HTTPClient", "JSON", "Registry"]),
    // Typed endpoints, which know no domain; and those of the registry.
    room("Endpoints", knows: ["Encoding", "HTTP", "JSON"]),
    room("API", knows: ["Encoding", "Endpoints", "HTTP", "Registry", "RequestSignature"]),
    // The web console. C embeds its files: as Swift arrays, they would take half a minute to compile.
    .target(name: "CConsoleFiles"),
    room("Console", knows: ["Crypto", "Encoding", "HTTP", "CConsoleFiles", "CZlib"], without: ["Web"]),
    room("RedisReplayStore", knows: ["Encoding", "Registry", "EventLoop", "CHiredis"]),

    // Composition, the only room that knows every other, and the command line.
    room(
      "Server",
      knows: [
        "API", "Commands", "Console", "Encoding", "HTTP", "EventLoop", "Registry", "PostgresStore",
        "SQLiteStore",
        "Migrations", "RedisReplayStore",
        "Crypto",
        "HTTPClient", "JSONWebToken", "Observability", "Telegram", "Webhooks",
      ]),
    .executableTarget(name: "device-registry", dependencies: ["Server"], swiftSettings: strict),

    // The client library, which knows nothing about the server, and the programs of `device-registry device`, and of
    // `device-registry events` and `webhooks`. It shares libcurl with HTTPClient, which needs the server's loop.
    room("DeviceRegistryClient", knows: ["Curl", "Encoding", "RequestSignature", "CCurl"], isInClient: true),
    .executableTarget(
      name: "device-registry-device", dependencies: ["DeviceRegistryClient"], swiftSettings: strict),
    .executableTarget(
      name: "device-registry-owner", dependencies: ["Commands", "DeviceRegistryClient", "Encoding"],
      swiftSettings: strict),

    // What `make bench` runs, beside Benchmarks/run.py.
    .systemLibrary(name: "CEpoll", path: "Benchmarks/CEpoll"),
    .executableTarget(
      name: "benchmark-load", dependencies: ["Crypto", "CEpoll", "CGnuTLS"], path: "Benchmarks/LoadGenerator",
      swiftSettings: strict),
    .executableTarget(
      name: "benchmark-constant", dependencies: ["HTTP", "EventLoop"], path: "Benchmarks/ConstantAnswer",
      swiftSettings: strict),
    .target(name: "CAllocationCount", path: "Benchmarks/CAllocationCount"),
    .executableTarget(
      name: "benchmark-micro",
      dependencies: [
        "API", "CAllocationCount", "Crypto", "Encoding", "EventLoop", "HTTP", "JSONWebToken", "PostgresStore",
        "Registry",
        "RequestSignature", "Server", "SQLiteStore",
      ], path: "Benchmarks/MicroBenchmarks", swiftSettings: strict),

    // What several suites use: a PostgreSQL and a Redis that the tests start, temporary folders, a socket client,
    // a clock.
    .target(
      name: "TestSupport", dependencies: ["EventLoop", "HTTP", "Registry"], path: "Tests/TestSupport",
      swiftSettings: strict),
    suite("EncodingTests", of: ["Encoding"]),
    suite("RegistryTests", of: ["Registry", "SQLiteStore", "EventLoop"]),
    suite("ObservabilityTests", of: ["Observability"]),
    suite("EventLoopTests", of: ["EventLoop"]),
    suite("CryptoTests", of: ["Crypto"]),
    suite("HTTPClientTests", of: ["Encoding", "HTTPClient", "EventLoop"]),
    suite("JSONTests", of: ["JSON", "CCjose"]),
    suite("JSONWebTokenTests", of: ["JSONWebToken", "HTTPClient", "EventLoop", "Server", "COpenSSL"]),
    suite(
      "StoreTests",
      of: [
        "Registry", "EventLoop", "PostgresStore", "SQLiteStore", "Server", "Crypto", "Migrations", "CPostgres",
        "CSQLite",
      ]),
    suite("RedisReplayStoreTests", of: ["RedisReplayStore", "Registry", "EventLoop"]),
    suite(
      "RequestSignatureTests", of: ["RequestSignature", "Crypto", "Encoding"],
      golden: [.embedInCode("request-signatures.json")]),
    suite("DeviceRegistryClientTests", of: ["DeviceRegistryClient", "RequestSignature", "Crypto"]),
    suite("HTTPTests", of: ["Encoding", "HTTP", "EventLoop"], scripts: ["h11_reader.py"]),
    suite(
      "WebhooksTests", of: ["Webhooks", "Crypto", "Encoding", "EventLoop", "Registry", "SQLiteStore"],
      scripts: ["verify.py"]),
    suite("TelegramTests", of: ["Telegram", "JSON", "Registry"]),
    suite("ConsoleTests", of: ["Console", "Encoding", "HTTP", "CZlib"], scripts: ["Browser"]),
    suite("APITests", of: ["API", "Encoding", "Endpoints", "HTTP", "JSON", "Registry"]),
    // The real program as a process, and what can go wrong around it.
    suite(
      "FaultTests",
      of: ["device-registry", "Crypto", "JSONWebToken", "RequestSignature", "CPostgres", "CSQLite"]),
    suite(
      "ServerTests",
      of: [
        "Server", "API", "Commands", "HTTP", "EventLoop", "Registry", "Crypto", "Observability", "JSONWebToken",
        "RequestSignature", "DeviceRegistryClient", "CPostgres", "CSQLite",
      ], scripts: ["systemd.py", "terminal.py"]),
  ]
)

// The program of libFuzzer, which provides main. Only scripts/fuzz.sh builds it.
if Context.environment["FUZZING"] != nil {
  package.targets.append(
    .executableTarget(
      name: "fuzz",
      dependencies: [
        "API", "Crypto", "Encoding", "Endpoints", "HTTP", "HTTPClient", "JSON", "JSONWebToken",
        "RedisReplayStore",
        "Registry",
        "RequestSignature", "Server", "Webhooks",
      ],
      path: "Fuzzing/Targets", swiftSettings: strict))
}
