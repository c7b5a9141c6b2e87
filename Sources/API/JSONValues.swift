public import Endpoints
public import Registry

// How the registry's values are written as JSON.

extension Timestamp: JSONWritable {
  public func write(to json: inout JSONWriter) { json.plainString(length: Self.textLength) { write(to: $0) } }
}

extension Identifier: JSONWritable {
  public func write(to json: inout JSONWriter) { json.plainString(length: Self.textLength) { write(to: $0) } }
}

extension DeviceSecret: JSONWritable {
  public func write(to json: inout JSONWriter) { withCharacters { json.plainString($0) } }
}

extension AccessToken: JSONWritable {
  public func write(to json: inout JSONWriter) { withCharacters { json.plainString($0) } }
}
