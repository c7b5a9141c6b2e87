internal import Glibc

/// Why a file cannot be used, for the operator who has to change that.
public enum FileFailure {
  /// Tries to read the file and describes the error.
  public static func reading(_ path: String) -> String { describe(errorCode(reading: path), of: path) }

  /// Describes an error of the system (errno(3)): with the owner and the mode of the file or folder and the user of this
  /// process if access was denied.
  public static func describe(_ code: Int32, of path: String) -> String {
    guard code == EACCES || code == EPERM, let denied = closed(path) else {
      return String(cString: strerror(code))
    }
    let user = name(ofUser: geteuid())
    guard let status = status(of: denied) else { return "this process, which runs as \(user), has no access" }
    let mode = String(status.st_mode & 0o7777, radix: 8)
    return
      "\(denied) belongs to \(name(ofUser: status.st_uid)) with mode \(mode), and this process runs as \(user)"
  }

  private static func errorCode(reading path: String) -> Int32 {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return errno }
    defer { close(descriptor) }
    var byte: UInt8 = 0
    return read(descriptor, &byte, 1) < 0 ? errno : EIO
  }

  /// The outermost folder that this process may not enter, or the file, or its folder if there is no such file.
  private static func closed(_ path: String) -> String? {
    let ends = path.indices.dropFirst().filter { path[$0] == "/" }
    let folders = ends.map { String(path[..<$0]) }
    if let closed = folders.first(where: { access($0, X_OK) != 0 && errno == EACCES }) { return closed }
    return access(path, F_OK) == 0 ? path : folders.last { access($0, F_OK) == 0 } ?? "."
  }

  private static func status(of path: String) -> stat? {
    var status = stat()
    return stat(path, &status) == 0 ? status : nil
  }

  private static func name(ofUser id: uid_t) -> String {
    getpwuid(id).map { String(cString: $0.pointee.pw_name) } ?? "user \(id)"
  }
}
