public import Endpoints
public import Registry

// The JSON form of the registry's values.

extension Timestamp: JSONWritable {
  public static var schema: JSONValue { ["type": "string", "format": "date-time"] }
  public func write(to json: inout JSONWriter) { json.plainString(length: Self.textLength) { write(to: $0) } }
}

extension Identifier: JSONWritable {
  public static var schema: JSONValue { ["type": "string", "format": "uuid"] }
  public func write(to json: inout JSONWriter) { json.plainString(length: Self.textLength) { write(to: $0) } }
}

extension ClientID: JSONWritable {
  public static var schema: JSONValue {
    [
      "type": "string", "minLength": 1, "maxLength": .integer(Int64(maximumLength)),
      "pattern": #"^(\.{0,2}[!-\-/-~]|\.{3})[!-~]*$"#,
    ]
  }
  public func write(to json: inout JSONWriter) { json.string(text) }
}

extension DeviceName: JSONWritable {
  public static var schema: JSONValue {
    ["type": "string", "minLength": 1, "maxLength": .integer(Int64(maximumLength))]
  }
  public func write(to json: inout JSONWriter) { json.string(text) }
}

extension Email: JSONWritable {
  public static var schema: JSONValue { ["type": "string"] }
  public func write(to json: inout JSONWriter) { json.string(text) }
}

extension DeviceSecret: JSONWritable {
  public static var schema: JSONValue { ["type": "string"] }
  public func write(to json: inout JSONWriter) { withCharacters { json.plainString($0) } }
}

extension AccessToken: JSONWritable {
  public static var schema: JSONValue { ["type": "string", "pattern": "^drt_[A-Za-z0-9_-]{43}$"] }
  public func write(to json: inout JSONWriter) { withCharacters { json.plainString($0) } }
}
