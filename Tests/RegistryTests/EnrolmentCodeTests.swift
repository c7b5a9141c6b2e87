import Testing

@testable import Registry

@Suite("An enrolment code") struct EnrolmentCodeTests {
  private func text(_ code: EnrolmentCode?) -> String? {
    code?.withCharacters { String(decoding: $0, as: UTF8.self) }
  }

  @Test func `has 128 bits in base32, in groups of four`() throws {
    let code = EnrolmentCode(random: CountingRandom())
    let text = try #require(self.text(code))
    #expect(text.utf8.count == EnrolmentCode.textLength)
    #expect(text.wholeMatch(of: /([A-Z2-7]{4}-){6}[A-Z2-7]{2}/) != nil, "\(text)")
    #expect(self.text(EnrolmentCode(presented: text)) == text)
    #expect(self.text(EnrolmentCode(random: CountingRandom())) == text)
  }

  @Test(arguments: [
    "aebagbaf-aydqqcik-bmga2dqp-ca", "AEBAGBAFAYDQQCIKBMGA2DQPCA", " AEBA GBAF AYDQ QCIK BMGA 2DQP CA ",
    "AEBA-GBAF-AYDQ-QCIK-BMGA-2DQP-CA",
  ])
  func `is read in either case, and without regard to hyphens and blanks`(_ presented: String) {
    #expect(text(EnrolmentCode(presented: presented)) == "AEBA-GBAF-AYDQ-QCIK-BMGA-2DQP-CA")
  }

  @Test(arguments: [
    "", "-", "AEBA-GBAF-AYDQ-QCIK-BMGA-2DQP-C", "AEBA-GBAF-AYDQ-QCIK-BMGA-2DQP-CAA",
    "AEBA-GBAF-AYDQ-QCIK-BMGA-2DQP-CB", "AEBA-GBAF-AYDQ-QCIK-BMGA-2DQP-C1",
    "AEBA_GBAF_AYDQ_QCIK_BMGA_2DQP_CA", "AEBA-GBAF-AYDQ-QCIK-BMGA-2DQP-CA\n",
    "AEBAGBAFAYDQQCIKBMGA2DQPCA" + String(repeating: " ", count: 39),
  ])
  func `is nothing else`(_ presented: String) { #expect(EnrolmentCode(presented: presented) == nil) }

  @Test func `prints as redacted`() {
    let code = EnrolmentCode(random: CountingRandom())
    #expect("\(code)" == "<redacted>" && "\(String(reflecting: code))" == "<redacted>")
  }
}
