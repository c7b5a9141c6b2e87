import Testing

@testable import PostgresStore

@Suite("Pipeline: results belong to their statements") struct PipelineTests {
  private func pipeline(_ statements: String...) -> Pipeline<String, Int> {
    var pipeline = Pipeline<String, Int>()
    for (index, statement) in statements.enumerated() {
      pipeline.append(statement, deadlineMilliseconds: Int64(index))
    }
    return pipeline
  }

  @Test
  func `Statements complete in order, at their synchronisation point`() {
    var pipeline = pipeline("a", "b")
    #expect(pipeline.count == 2 && pipeline.deadlineMilliseconds == 0)
    #expect(pipeline.receive(.result(1)) == nil)
    let first = pipeline.receive(.synchronised)
    #expect(first?.statement == "a" && first?.outcome == 1)
    #expect(pipeline.count == 1 && pipeline.deadlineMilliseconds == 1)
    #expect(pipeline.receive(.result(2)) == nil)
    let second = pipeline.receive(.synchronised)
    #expect(second?.statement == "b" && second?.outcome == 2)
    #expect(pipeline.count == 0 && pipeline.deadlineMilliseconds == nil)
  }

  @Test
  func `A failed commit replaces the result before it`() {
    var pipeline = pipeline("a", "b")
    #expect(pipeline.receive(.result(1)) == nil)
    #expect(pipeline.receive(.failure(-1)) == nil)
    #expect(pipeline.receive(.synchronised)?.outcome == -1)
    #expect(pipeline.receive(.result(2)) == nil)
    #expect(pipeline.receive(.synchronised)?.outcome == 2)
  }

  @Test
  func `The first of several results counts`() {
    var pipeline = pipeline("a")
    #expect(pipeline.receive(.result(1)) == nil)
    #expect(pipeline.receive(.result(2)) == nil)
    #expect(pipeline.receive(.synchronised)?.outcome == 1)
  }

  @Test
  func `A protocol violation gives no outcome, and completes no statement twice`() {
    var pipeline = pipeline("a")
    let first = pipeline.receive(.synchronised)
    #expect(first?.statement == "a" && first?.outcome == nil)
    #expect(pipeline.receive(.synchronised) == nil)
  }

  @Test
  func `removeAll returns each statement once, oldest first, and drops its result`() {
    var pipeline = pipeline("a", "b", "c")
    #expect(pipeline.receive(.result(1)) == nil)
    #expect(pipeline.removeAll() == ["a", "b", "c"])
    #expect(pipeline.removeAll() == [])
    pipeline.append("d", deadlineMilliseconds: 9)
    let next = pipeline.receive(.synchronised)
    #expect(next?.statement == "d" && next?.outcome == nil)
  }
}
