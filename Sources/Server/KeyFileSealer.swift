internal import Crypto
public import Registry

/// Seals with the first key of a file, and opens with each of them.
public struct KeyFileSealer: Sealer {
  /// The path of the file, for error messages.
  let path: String
  /// In the order of `keys`.
  private let sealingKeys: [SealingKey]
  public let keys: [SealingKeyID]

  /// - Parameter keys: at least one.
  init(_ keys: [SealingKey], path: String) {
    self.path = path
    self.keys = keys.map(\.registryID)
    sealingKeys = keys
  }

  public func seal(_ plain: UnsafeBufferPointer<UInt8>, for place: SealedPlace) -> [UInt8] {
    sealingKeys[0].seal(plain, associatedData: place.associatedData)
  }

  public func open(_ box: [UInt8], of place: SealedPlace) throws(RegistryError) -> SecretBytes {
    guard let id = SealingKeyID(ofBox: box), let length = SealingKey.contentLength(ofBox: box) else {
      throw .unavailable(cause: "\(place) is too short for a sealed value")
    }
    guard let number = keys.firstIndex(of: id) else {
      throw .unavailable(cause: "\(place) was sealed with key \(id), which is not in \(path)")
    }
    let key = sealingKeys[number]
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
