/// What requests cost at the limits of clients and devices. Every request costs 1, which must be there; the work that it
/// causes is charged when it is known, rounded down.
public enum RequestCost {
  /// Of each argon2id hash that a client asks for: a registration or a rotation costs 5.
  public static let hash = 4
  /// Deliveries that a signal may write for 1.
  public static let deliveriesPerUnit = 100
  /// Devices that a bulk change may mean for 1.
  public static let devicesPerUnit = 100
  /// Elements of a list that an answer may have for 1.
  public static let rowsPerUnit = 100
  /// Bytes that an answer may have for 1.
  public static let bytesPerUnit = 64 * 1024

  /// Of a signal to that many devices.
  static func signal(deliveries: Int) -> Int { deliveries / deliveriesPerUnit }

  /// Of a bulk change, or its preview.
  static func bulk(devices: Int) -> Int { devices / devicesPerUnit }
  /// Rows that a request may read without answering them for 1: to count them, or because a filter leaves them out.
  public static let scannedRowsPerUnit = 1000

  /// Of rows that are written.
  static func written(rows: Int) -> Int { rows / deliveriesPerUnit }

  /// Of rows that are read and not answered.
  static func scan(rows: Int) -> Int { rows / scannedRowsPerUnit }

  /// Of an answer.
  public static func answer(rows: Int, bytes: Int) -> Int { rows / rowsPerUnit + bytes / bytesPerUnit }
}
