import TestSupport
import Testing

@testable import Registry

@Suite("Bounded cache") struct BoundedCacheTests {
  private static func full(_ capacity: Int = 4) -> BoundedCache<Int, String> {
    var cache = BoundedCache<Int, String>(capacity: capacity)
    for key in 0..<capacity { cache[key] = "\(key)" }
    return cache
  }

  @Test
  func `A full cache gives up one entry for a new one, and keeps all others`() {
    var cache = Self.full()
    cache[100] = "new"
    #expect(cache.count == 4 && cache[100] == "new")
    #expect((0..<4).count { cache[$0] != nil } == 3)
  }

  @Test
  func `Entries that are in use stay, however many new ones come`() {
    var cache = Self.full()
    for key in 100..<1000 {
      #expect(cache.use(2) == "2")
      cache[key] = "flood"
    }
    #expect(cache.count == 4 && cache[2] == "2")
  }

  @Test
  func `Where all entries are in use, one still makes room`() {
    var cache = Self.full()
    for key in 0..<4 { _ = cache.use(key) }
    cache[100] = "new"
    #expect(cache.count == 4 && cache[100] == "new")
  }

  @Test
  func `A look does not count as use`() {
    var cache = Self.full(1)
    #expect(cache[0] == "0")
    cache[1] = "1"
    #expect(cache[0] == nil && cache[1] == "1")
  }

  @Test
  func `An entry that is set again is replaced and takes no second place`() {
    var cache = Self.full()
    cache[3] = "new"
    #expect(cache.count == 4 && cache[3] == "new")
    #expect(cache.modify(3) { $0 += "!" } != nil && cache[3] == "new!")
    #expect(cache.modify(9) { $0 += "!" } == nil && cache.count == 4)
  }

  @Test
  func `It answers as a dictionary does, whatever is added and removed, as long as there is room`() {
    var generator = SeededGenerator(seed: 1)
    var cache = BoundedCache<Int, String>(capacity: 64)
    var model: [Int: String] = [:]
    for step in 0..<5_000 {
      let key = Int.random(in: 0..<64, using: &generator)
      switch Int.random(in: 0..<10, using: &generator) {
      case 0..<5: (cache[key], model[key]) = ("\(step)", "\(step)")
      case 5..<9: (cache[key], model[key]) = (nil, nil)
      default:
        cache.removeAll { $0.hasSuffix("7") }
        model = model.filter { !$0.value.hasSuffix("7") }
      }
      #expect(cache.count == model.count && cache[key] == model[key])
    }
    for key in 0..<64 { #expect(cache[key] == model[key]) }
    cache.removeAll()
    #expect(cache.count == 0 && cache[0] == nil)
  }
}
