import EventLoop
import Testing

@Suite("Queue: first in, first out") struct QueueTests {
  @Test
  func `It answers as an array would, through many fillings`() {
    var queue = Queue<Int>()
    var model: [Int] = []
    #expect(queue.first == nil && queue.removeFirst() == nil)
    for number in 0..<1000 {
      queue.append(number)
      model.append(number)
      if number % 3 != 0 { #expect(queue.removeFirst() == model.removeFirst()) }
      #expect(queue.count == model.count && queue.first == model.first)
    }
    queue.first! += 1
    model[0] += 1
    #expect(queue.first == model[0])
    #expect(queue.removeAll() == model)
    #expect(queue.count == 0 && queue.first == nil && queue.removeFirst() == nil)
  }
}
