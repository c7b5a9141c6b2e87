import DeviceRegistryClient
import Foundation

/// How results are printed: for people, or for programs.
struct Output {
  enum Format: String {
    case table, json, csv
    /// One id a line.
    case ids
  }

  let format: Format
  let screen: Screen
  /// Relative times count from here.
  let now: Date

  /// Prints a list as its pages arrive.
  func print<Row>(_ pages: Pages<Row>, _ columns: [Column<Row>]) async throws {
    var list = ListPrinter(output: self, columns: columns)
    try await pages.forEachPage { rows, json in try list.print(rows, json) }
    try list.end()
  }

  /// Prints a list that is in memory.
  ///
  /// - Parameter json: the same elements as the registry wrote them; nil for objects with the columns.
  func print<Row>(_ rows: [Row], json: [Data]?, _ columns: [Column<Row>]) throws {
    var list = ListPrinter(output: self, columns: columns)
    try list.print(rows, json ?? rows.map { row in try Self.json(of: row, columns) })
    try list.end()
  }

  /// An object with a text for each column.
  private static func json<Row>(of row: Row, _ columns: [Column<Row>]) throws -> Data {
    let members = columns.map { ($0.name, $0.cell(row).exact) }
    return try JSONSerialization.data(
      withJSONObject: Dictionary(uniqueKeysWithValues: members),
      options: [.sortedKeys, .withoutEscapingSlashes])
  }

  /// Prints one thing: a line for each column, or the JSON.
  func print<Row>(one row: Row, json: Data, _ columns: [Column<Row>]) throws {
    switch format {
    case .json: try Terminal.print(json)
    case .csv, .ids: try print([row], json: [json], columns)
    case .table:
      let titles = columns.map { $0.name.replacing("_", with: " ") }
      let width = titles.map(\.width).max() ?? 0
      for (title, column) in zip(titles, columns) {
        let cell = column.cell(row)
        let text = cell.text(at: now)
        let padding = String(repeating: " ", count: width - title.width + 2)
        try Terminal.print(lines: title + padding + painted(text, cell))
      }
    }
  }

  fileprivate func painted(_ text: String, _ cell: Cell) -> String {
    guard screen.hasColor, let color = cell.color else { return text }
    return "\u{1B}[\(color.rawValue)m\(text)\u{1B}[0m"
  }
}

/// A column of a list.
struct Column<Row>: Sendable {
  /// In CSV; in upper case and with spaces, the title of a table's column.
  let name: String
  /// Whether it is shortened if the terminal is narrow.
  let isFlexible: Bool
  /// The order in which columns are left out if the terminal is too narrow, 1 first; nil for never.
  let leavesOut: Int?
  let cell: @Sendable (Row) -> Cell

  init(
    _ name: String, isFlexible: Bool = false, leavesOut: Int? = nil, _ cell: @escaping @Sendable (Row) -> Cell
  ) {
    self.name = name
    self.isFlexible = isFlexible
    self.leavesOut = leavesOut
    self.cell = cell
  }

  var title: String { name.replacing("_", with: " ").uppercased() }
}

/// A value in a list.
enum Cell: Sendable {
  case text(String?)
  case painted(String, Color?)
  case number(Int?)
  case flag(Bool)
  /// People read how long ago it was; programs, the time.
  case time(Date?)
  case words([String])

  enum Color: Int, Sendable {
    case red = 31
    case green = 32
    case yellow = 33
    case gray = 90
  }

  var isNumber: Bool { if case .number = self { true } else { false } }

  fileprivate var color: Color? {
    switch self {
    case .painted(_, let color): color
    case .flag(true): .green
    default: nil
    }
  }

  /// For people. Without characters that could control a terminal.
  fileprivate func text(at now: Date) -> String {
    switch self {
    case .text(let text): text.map(Terminal.withoutControls) ?? "-"
    case .painted(let text, _): Terminal.withoutControls(text)
    case .number(let number): number.map(String.init) ?? "-"
    case .flag(let flag): flag ? "yes" : "no"
    case .time(let time): time.map { $0.relative(to: now) } ?? "-"
    case .words(let words): words.isEmpty ? "-" : Terminal.withoutControls(words.joined(separator: " "))
    }
  }

  /// For programs.
  fileprivate var exact: String {
    switch self {
    case .text(let text): text ?? ""
    case .painted(let text, _): text
    case .number(let number): number.map(String.init) ?? ""
    case .flag(let flag): flag ? "true" : "false"
    case .time(let time): time?.rfc3339 ?? ""
    case .words(let words): words.joined(separator: " ")
    }
  }
}

/// Prints a list, page after page.
private struct ListPrinter<Row> {
  let output: Output
  let columns: [Column<Row>]
  private var isFirst = true
  private var layout: TableLayout?

  init(output: Output, columns: [Column<Row>]) {
    self.output = output
    self.columns = columns
  }

  mutating func print(_ rows: [Row], _ json: [Data]) throws(Failure) {
    switch output.format {
    case .json:
      for element in json {
        try Terminal.print(bytes: Array((isFirst ? "[" : ",\n").utf8) + element)
        isFirst = false
      }
    case .csv:
      if isFirst { try Terminal.print(bytes: CSV.line(columns.map(\.name))) }
      isFirst = false
      try Terminal.print(
        bytes: rows.flatMap { row in CSV.line(columns.map { $0.cell(row).exact }) })
    case .ids:
      guard let id = columns.first(where: { $0.name == "id" }), !rows.isEmpty else { return }
      try Terminal.print(lines: rows.map { id.cell($0).exact }.joined(separator: "\n"))
    case .table: try printTable(rows)
    }
  }

  /// Prints what is printed also without rows.
  mutating func end() throws(Failure) {
    switch output.format {
    case .json: try Terminal.print(lines: isFirst ? "[]" : "]")
    case .csv, .table: if isFirst { try print([], []) }
    case .ids: break
    }
  }

  private mutating func printTable(_ rows: [Row]) throws(Failure) {
    let cells = rows.map { row in columns.map { $0.cell(row) } }
    let texts = cells.map { $0.map { $0.text(at: output.now) } }
    let titles = columns.map(\.title)
    let natural = columns.indices.map { column in
      ([titles] + texts).reduce(0) { max($0, $1[column].width) }
    }
    let layout =
      layout?.widened(to: natural)
      ?? TableLayout(
        columns.map { ($0.isFlexible, $0.leavesOut) }, widths: natural, limit: output.screen.width)
    self.layout = layout
    var lines = isFirst ? [layout.line(titles.map { ($0, $0, false) })] : []
    isFirst = false
    for (cells, texts) in zip(cells, texts) {
      lines.append(
        layout.line(
          zip(cells, texts).enumerated().map { index, value in
            let text = value.1.shortened(to: layout.widths[index])
            return (text, output.painted(text, value.0), value.0.isNumber)
          }))
    }
    if !lines.isEmpty { try Terminal.print(lines: lines.joined(separator: "\n")) }
  }
}

/// The widths of a table's columns.
private struct TableLayout {
  var widths: [Int]
  private let shown: [Int]

  private static let gap = 2
  /// A flexible column is not shortened to less.
  private static let minimumWidth = 10

  /// - Parameter limit: columns of the terminal; nil for any number.
  init(_ columns: [(isFlexible: Bool, leavesOut: Int?)], widths: [Int], limit: Int?) {
    let order = columns.indices.filter { columns[$0].leavesOut != nil }
      .sorted { columns[$0].leavesOut! < columns[$1].leavesOut! }
    var (shown, fitted) = (Array(widths.indices), widths)
    if let limit {
      for count in 0...order.count {
        shown = widths.indices.filter { !order.prefix(count).contains($0) }
        fitted = widths
        var excess = shown.reduce(Self.gap * (shown.count - 1)) { $0 + widths[$1] } - limit
        while excess > 0,
          let widest = shown.filter({ columns[$0].isFlexible && fitted[$0] > Self.minimumWidth })
            .max(by: { fitted[$0] < fitted[$1] })
        {
          fitted[widest] -= 1
          excess -= 1
        }
        if excess <= 0 { break }
      }
    }
    self.widths = fitted
    self.shown = shown
  }

  /// For a further page: wide enough for it too, unless the terminal limits the width.
  func widened(to natural: [Int]) -> TableLayout {
    var copy = self
    if limitIsOff { copy.widths = zip(widths, natural).map(max) }
    return copy
  }

  private var limitIsOff: Bool { shown.count == widths.count }

  func line(_ cells: [(text: String, painted: String, isRight: Bool)]) -> String {
    var line = ""
    for (position, column) in shown.enumerated() {
      let (text, painted, isRight) = cells[column]
      let padding = String(repeating: " ", count: max(0, widths[column] - text.width))
      if position > 0 { line += String(repeating: " ", count: Self.gap) }
      let isLast = position == shown.count - 1
      line += isRight ? padding + painted : isLast ? painted : painted + padding
    }
    return line
  }
}

/// RFC 4180, for programs and spreadsheets.
enum CSV {
  /// A line with its line break. A cell that a spreadsheet would run as a formula gets an apostrophe.
  static func line(_ cells: [String]) -> [UInt8] {
    Array((cells.map(escaped).joined(separator: ",") + "\r\n").utf8)
  }

  private static func escaped(_ cell: String) -> String {
    let cell = "=+-@\t\r".contains(cell.first ?? " ") ? "'" + cell : cell
    guard cell.contains(where: { ",\"\r\n".contains($0) || $0 == "\r\n" }) else { return cell }
    return "\"" + cell.replacing("\"", with: "\"\"") + "\""
  }
}

extension Date {
  /// How long ago it is, or how soon.
  func relative(to now: Date) -> String {
    let seconds = Int(timeIntervalSince(now).rounded())
    let text: String
    switch abs(seconds) {
    case 0: return "now"
    case ..<60: text = "\(abs(seconds)) s"
    case ..<3600: text = "\((abs(seconds) + 30) / 60) min"
    case ..<86_400: text = "\((abs(seconds) + 1800) / 3600) h"
    case ..<(60 * 86_400): text = "\((abs(seconds) + 43_200) / 86_400) d"
    default: return String(rfc3339.prefix(10))
    }
    return seconds < 0 ? "\(text) ago" : "in \(text)"
  }
}
