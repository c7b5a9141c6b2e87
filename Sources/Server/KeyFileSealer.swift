internal import Crypto
public import Registry

/// Seals with the first key of a file, and opens with each of them.
public struct KeyFileSealer: Sealer {
  /// The path of the file, for error messages.
  let path: String
  private let sealing: SealingKey
  private let opening: [SealingKeyID: SealingKey]
  public let keys: [SealingKeyID]

  /// - Parameter keys: at least one.
  init(_ keys: [SealingKey], path: String) {
    self.path = path
    sealing = keys[0]
    self.keys = keys.map(\.registryID)
    opening = Dictionary(zip(self.keys, keys)) { first, _ in first }
  }

  public func seal(_ plain: UnsafeBufferPointer<UInt8>, for place: SealedPlace) -> [UInt8] {
    sealing.seal(plain, associatedData: place.associatedData)
  }

  public func open(_ box: [UInt8], of place: SealedPlace) throws(RegistryError) -> SecretBytes {
    guard let id = SealingKeyID(ofBox: box), let length = SealingKey.contentLength(ofBox: box) else {
      throw .unavailable(cause: "\(place) is too short for a sealed value")
    }
    guard let key = opening[id] else {
      throw .unavailable(cause: "\(place) was sealed with key \(id), which is not in \(path)")
    }
    var isOpen = false
    let plain = SecretBytes(count: length) {
      isOpen = key.open(box, associatedData: place.associatedData, into: $0)
    }
    guard isOpen else {
      throw .unavailable(
        cause: "\(place) does not open with key \(id): it was changed, or moved from elsewhere")
    }
    return plain
  }
}

extension SealingKey {
  fileprivate var registryID: SealingKeyID { SealingKeyID(id)! }
}
