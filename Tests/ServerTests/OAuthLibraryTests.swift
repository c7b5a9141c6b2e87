import Foundation
import TestSupport
import Testing

extension DeviceRegistry {
  /// A client for OAuth 2.0 can use the token endpoint: `requests-oauthlib`, from Debian, knows nothing else.
  @Suite("An OAuth library that knows nothing of the registry") struct OAuthLibrary {
    private static let program = """
      import os
      from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
      from requests.auth import HTTPBasicAuth
      from requests_oauthlib import OAuth2Session

      # The library wants TLS, also for 127.0.0.1.
      os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
      url, id, secret = os.environ["REGISTRY"], os.environ["ID"], os.environ["SECRET"]
      how = {
        "basic": dict(auth=HTTPBasicAuth(id, secret)),
        "body": dict(client_id=id, client_secret=secret, include_client_id=True),
      }[os.environ["HOW"]]
      session = OAuth2Session(client=BackendApplicationClient(client_id=id))
      session.trust_env = False
      try:
        token = session.fetch_token(url + "/api/v1/device/token", **how)
      except OAuth2Error as error:
        print("error", error.error)
        raise SystemExit
      print(token["token_type"], int(token["expires_in"]))
      print(session.get(url + "/api/v1/device").json()["id"])
      print(session.get(url + "/api/v1/device/poll").json()["signals"])
      print(session.post(url + "/api/v1/device/ack", json={"acks": []}).json()["acked"])
      """

    private static func run(_ registry: TestRegistry, _ device: TestDevice, _ how: String) async throws
      -> String
    {
      let environment = [
        "REGISTRY=http://127.0.0.1:\(registry.client.port)", "ID=\(device.id)", "SECRET=\(device.secret)",
        "HOW=\(how)", "PATH=/usr/bin:/bin",
      ]
      let result = try await Program.run(
        ["-c", program], environment, executable: "/usr/bin/python3")
      try #require(result.status == 0, "\(result.errors)")
      return result.output
    }

    @Test(arguments: DatabaseKind.allCases, ["basic", "body"])
    func `It gets a token and uses it`(_ kind: DatabaseKind, _ how: String) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let output = try await Self.run(registry, device, how)
      #expect(output == "Bearer 900\n\(device.id)\n[]\n[]\n")
    }

    @Test(arguments: DatabaseKind.allCases, ["basic", "body"])
    func `It understands that a secret is wrong`(_ kind: DatabaseKind, _ how: String) async throws {
      let registry = try registry(kind)
      let device = try await registry.newSignedDevice(of: registry.newOwner())
      let wrong = TestDevice(id: device.id, secret: String(repeating: "0", count: 64))
      #expect(try await Self.run(registry, wrong, how) == "error invalid_client\n")
    }
  }
}
