import Testing

@testable import PostgresStore

@Suite("Pipeline: whose answer it is") struct PipelineTests {
  private func pipeline(_ statements: String...) -> Pipeline<String, Int> {
    var pipeline = Pipeline<String, Int>()
    for (index, statement) in statements.enumerated() {
      pipeline.append(statement, deadlineMilliseconds: Int64(index))
    }
    return pipeline
  }

  @Test
  func `Statements are over in their order, at their synchronisation point`() {
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
  func `A failure takes the place of the result before it: the commit failed`() {
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
  func `A server that breaks the protocol gives no outcome, and no statement twice`() {
    var pipeline = pipeline("a")
    let first = pipeline.receive(.synchronised)
    #expect(first?.statement == "a" && first?.outcome == nil)
    #expect(pipeline.receive(.synchronised) == nil)
  }

  @Test
  func `What is given up is answered once, oldest first, and its result is forgotten`() {
    var pipeline = pipeline("a", "b", "c")
    #expect(pipeline.receive(.result(1)) == nil)
    #expect(pipeline.removeAll() == ["a", "b", "c"])
    #expect(pipeline.removeAll() == [])
    pipeline.append("d", deadlineMilliseconds: 9)
    let next = pipeline.receive(.synchronised)
    #expect(next?.statement == "d" && next?.outcome == nil)
  }
}
