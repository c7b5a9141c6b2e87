internal import HTTP

/// What a request came to: its answer, and what the log is told of it.
struct Outcome {
  var response: Response
  /// Who called, where that was proved.
  var caller: ProvedCaller?
  /// Why it was not answered as it wished.
  var problem: Problem?

  init(_ response: Response, caller: ProvedCaller?) {
    self.response = response
    self.caller = caller
  }

  init(_ problem: Problem, requestID: String) {
    response = problem.response(requestID: requestID)
    self.problem = problem
  }
}
