internal import HTTP

/// A row of a table in CSV.
public protocol TableRow {
  /// The names of the columns.
  static var columns: [StaticString] { get }
  /// The cells, in the order of the columns.
  func writeCells(to row: inout CSVRow)
}

/// A table in CSV with a header line (RFC 4180), in a buffer that grows row by row.
public struct CSVTable<Row: TableRow> {
  let text: ByteBuffer
  public private(set) var rows = 0

  public init() {
    text = ByteBuffer(capacity: 16 * 1024)
    for (index, column) in Row.columns.enumerated() {
      if index > 0 { text.append(UInt8(ascii: ",")) }
      text.append(column)
    }
    text.append("\r\n" as StaticString)
  }

  public var bytes: Int { text.count }

  public mutating func append(_ row: Row) {
    var cells = CSVRow(text: text)
    row.writeCells(to: &cells)
    text.append("\r\n" as StaticString)
    rows += 1
  }
}

/// Writes the cells of a row, from left to right.
public struct CSVRow {
  fileprivate let text: ByteBuffer
  private var isFirst = true

  fileprivate init(text: ByteBuffer) { self.text = text }

  /// Text that a user chose. A spreadsheet would run a cell as a formula that begins with `=`, `+`, `-`, `@`, a tab or a
  /// carriage return, so that gets a `'` in front. Nil is an empty cell.
  public mutating func text(_ cell: String?) {
    let cell = cell ?? ""
    let isFormula = cell.utf8.first.map { "=+-@\t\r".utf8.contains($0) } ?? false
    plain(isFormula ? "'" + cell : cell)
  }

  /// Text that is no formula, such as an id or a time. Nil is an empty cell.
  public mutating func plain(_ cell: String?) {
    if !isFirst { text.append(UInt8(ascii: ",")) }
    isFirst = false
    guard let cell else { return }
    if cell.utf8.contains(where: { "\",\r\n".utf8.contains($0) }) {
      text.append(UInt8(ascii: "\""))
      for byte in cell.utf8 {
        if byte == UInt8(ascii: "\"") { text.append(byte) }
        text.append(byte)
      }
      text.append(UInt8(ascii: "\""))
    } else {
      text.append(utf8: cell)
    }
  }
}
