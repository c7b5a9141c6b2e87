import HTTPClient
import Registry
import Webhooks

/// A webhook's URL, which a client chooses, and a delivery, which anyone may send to the receiver: an accepted URL has no
/// other host than it seems to have, and no delivery verifies that the secret did not sign.
func feedWebhook(_ input: [UInt8]) {
  let lines = lines(input, atMost: 5)
  if let text = lines[0].text { feedURL(text) }
  guard lines.count == 5 else { return }
  let failure = verifier.failure(
    id: lines[1].text, timestamp: lines[2].text, signature: lines[3].text, body: lines[4],
    now: Timestamp(millisecondsSince1970: 1_770_000_000_000))
  demand(failure != nil, "a delivery verifies that nobody signed")
}

private let verifier = DeliveryVerifier(secret: "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=")!

private func feedURL(_ text: String) {
  guard let url = try? WebhookURL(text) else { return }
  demand((try? WebhookURL(url.text)) == url, "a URL is read otherwise once stored")
  demand(
    url.text.utf8.allSatisfy { (0x21...0x7E).contains($0) }, "a URL with characters that end a request line")
  demand(url.text.utf8.count <= WebhookURL.maximumLength, "a long URL")
  let parts = url.text.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
  demand(["http:", "https:"].contains(parts[0]) && parts[1].isEmpty, "another scheme")
  // Whatever ends a host for one parser and not for another.
  let authority = parts[2].prefix { $0 != "?" }
  demand(!authority.isEmpty && !authority.utf8.contains { "@\\#%;,'\"".utf8.contains($0) }, "an ambiguous host")
}
