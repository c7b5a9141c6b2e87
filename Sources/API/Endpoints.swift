extension API {
  /// Every route. The OpenAPI document is derived from this table.
  static let endpoints: [Endpoint] = [
    Endpoint(
      "POST", "/api/v1/devices", "registerDevice",
      "Registers a device. The answer holds its secret, which is shown here and nowhere else.",
      problems: [.clientNotFound, .tooManyDevices, .deviceNameTaken], API.registerDevice),
    Endpoint(
      "GET", "/api/v1/devices", "listDevices",
      "Lists the caller's devices, active and revoked, oldest first.", API.listDevices),
    Endpoint(
      "GET", "/api/v1/devices/{id}", "getDevice", "Shows a device.",
      problems: [.deviceNotFound, .notOwner], API.getDevice),
    Endpoint(
      "PATCH", "/api/v1/devices/{id}", "renameDevice", "Renames a device.",
      problems: [.deviceNotFound, .notOwner, .deviceRevoked, .deviceNameTaken], API.renameDevice),
    Endpoint(
      "POST", "/api/v1/devices/{id}/revoke", "revokeDevice",
      "Cuts a device off, for good. A second time changes nothing.",
      problems: [.deviceNotFound, .notOwner], API.revokeDevice),

    Endpoint(
      "POST", "/api/v1/clients", "createClient", "Adds a client, whose id is the `sub` of its tokens.",
      problems: [.clientIDTaken, .clientEmailTaken], API.createClient),
    Endpoint(
      "GET", "/api/v1/clients", "listClients",
      "Lists the clients, oldest first; 1000 of them at most without a limit.", API.listClients),
    Endpoint(
      "GET", "/api/v1/clients/{id}", "getClient", "Shows a client.",
      problems: [.clientNotFound], API.getClient),
    Endpoint(
      "DELETE", "/api/v1/clients/{id}", "deleteClient",
      "Removes a client, its devices and all that hangs on them.",
      problems: [.clientNotFound], API.deleteClient),

    Endpoint("GET", "/healthz", "health", "Tells that the process lives.", API.health),
    Endpoint("GET", "/readyz", "readiness", "Tells that the database answers.", API.readiness),
    Endpoint("GET", "/openapi.json", "openAPI", "This document.", API.openAPI),
  ]
}
