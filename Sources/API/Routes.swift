internal import Endpoints

extension API {
  /// The path of polls.
  public static let pollPath = "/api/v1/device/poll"

  /// The path at which codes that link chats are created. Without a Telegram bot, none is.
  public static let telegramLinkPath = "/api/v1/telegram/link"

  /// The method and path of each route, in the order of `endpoints`.
  package static var routes: [(method: String, path: String)] {
    endpoints.operations.map { ($0.method, $0.path) }
  }

  /// Every route. The OpenAPI document is derived from this table.
  static let endpoints = EndpointTable<API>([
    .owner(
      "POST", "/api/v1/devices", "registerDevice",
      "Registers a device. Only this answer holds its secret.",
      problems: [.tooManyDevices, .deviceNameTaken, .groupNotFound, .secretAlreadyShown], API.registerDevice),
    .owner(
      "GET", "/api/v1/devices", "listDevices",
      "Lists the caller's devices that meet all conditions, oldest first; without a limit, at most 1000. A page with conditions may have fewer devices than its limit, or none, while `Link` names a next one. As CSV, the list has up to 4 MiB without a limit.",
      API.listDevices),
    .owner(
      "POST", "/api/v1/devices/bulk", "changeDevices",
      "Changes any number of the caller's devices in one transaction, and says what became of them.",
      problems: [.deviceNotFound, .groupNotFound, .expectationFailed], API.changeDevices),
    .owner(
      "GET", "/api/v1/devices/summary", "summarizeDevices",
      "Counts the caller's devices: all, by status, online, by group, and those that did not confirm their trading mode.",
      API.summarizeDevices),
    .owner(
      "GET", "/api/v1/devices/{id}", "getDevice", "Shows a device.",
      problems: [.deviceNotFound, .notOwner], API.getDevice),
    .owner(
      "PATCH", "/api/v1/devices/{id}", "updateDevice",
      "Changes the name, the labels or the end of a device, or binds it to an account.",
      problems: [.deviceNotFound, .notOwner, .deviceRevoked, .deviceNameTaken], API.updateDevice),
    .owner(
      "POST", "/api/v1/devices/{id}/revoke", "revokeDevice",
      "Revokes a device, which is final. Repeating it changes nothing.",
      problems: [.deviceNotFound, .notOwner], API.revokeDevice),
    .owner(
      "POST", "/api/v1/devices/{id}/suspend", "suspendDevice",
      "Suspends a device at once, until a time or until it is resumed. Repeating it changes nothing.",
      problems: [.deviceNotFound, .notOwner, .deviceRevoked], API.suspendDevice),
    .owner(
      "POST", "/api/v1/devices/{id}/resume", "resumeDevice",
      "Ends the suspension of a device. Repeating it changes nothing.",
      problems: [.deviceNotFound, .notOwner, .deviceRevoked], API.resumeDevice),
    .owner(
      "DELETE", "/api/v1/devices/{id}", "deleteDevice", "Deletes a revoked device. Its events stay.",
      problems: [.deviceNotFound, .notOwner, .deviceNotRevoked], API.deleteDevice),
    .owner(
      "POST", "/api/v1/devices/{id}/rotate", "rotateSecret",
      "Gives a device a new secret, which only this answer holds. The old one works until the new one is used or its grace ends.",
      problems: [.deviceNotFound, .notOwner, .deviceRevoked, .secretAlreadyShown], API.rotateSecret),

    .owner(
      "GET", "/api/v1/devices/{id}/stats", "getDeviceStatistics",
      "Returns what a device did, by hour or day, oldest first, without those in which it did nothing. At most 10000 elements.",
      problems: [.deviceNotFound, .notOwner], API.getDeviceStatistics),
    .owner(
      "GET", "/api/v1/stats", "listStatistics",
      "Returns what the caller's devices did, summed by hour or day, or also by device or group. At most 10000 elements of at most 250000 hours of devices; by device, a page of devices at a time.",
      API.listStatistics),

    .owner(
      "POST", "/api/v1/devices/{id}/enrolment", "createDeviceEnrolment",
      "Creates a code with which a terminal gets a new secret of the device, which ends the old one. Only this answer holds it.",
      problems: [.deviceNotFound, .notOwner, .deviceRevoked, .tooManyEnrolments, .secretAlreadyShown],
      API.createDeviceEnrolment),

    .owner(
      "POST", "/api/v1/devices/{id}/diagnose", "diagnose",
      "Says why the signature of a request does not verify. Nothing of it is stored or logged, and the answer has no signature.",
      problems: [.deviceNotFound, .notOwner], API.diagnose),

    .owner(
      "POST", "/api/v1/enrolments", "createEnrolments",
      "Creates codes with which terminals register as devices, each once. Only this answer holds them.",
      problems: [.groupNotFound, .tooManyEnrolments, .secretAlreadyShown], API.createEnrolments),
    .owner(
      "GET", "/api/v1/enrolments", "listEnrolments",
      "Lists the caller's enrolments, oldest first; without a limit, at most 1000. Used and expired ones are kept for a week.",
      API.listEnrolments),
    .owner(
      "DELETE", "/api/v1/enrolments/{id}", "deleteEnrolment",
      "Deletes an enrolment, whose code no longer works.",
      problems: [.enrolmentNotFound, .notOwner], API.deleteEnrolment),

    .owner(
      "GET", "/api/v1/groups", "listGroups",
      "Lists the caller's groups of devices by name, at most 1000 at a time.", API.listGroups),
    .owner(
      "PUT", "/api/v1/groups/{name}", "putGroup", "Creates a group, or changes its description.",
      problems: [.groupNotFound, .tooManyGroups], API.putGroup),
    .owner(
      "GET", "/api/v1/groups/{name}", "getGroup", "Shows a group.", problems: [.groupNotFound], API.getGroup),
    .owner(
      "DELETE", "/api/v1/groups/{name}", "deleteGroup", "Deletes a group. Its devices stay.",
      problems: [.groupNotFound], API.deleteGroup),
    .owner(
      "PUT", "/api/v1/groups/{name}/devices/{id}", "addToGroup",
      "Puts a device into a group. Repeating it changes nothing.",
      problems: [.groupNotFound, .deviceNotFound, .notOwner, .deviceRevoked, .tooManyGroups], API.addToGroup),
    .owner(
      "DELETE", "/api/v1/groups/{name}/devices/{id}", "removeFromGroup",
      "Takes a device out of a group. Repeating it changes nothing.",
      problems: [.groupNotFound, .deviceNotFound, .notOwner], API.removeFromGroup),

    .owner(
      "POST", "/api/v1/signals", "createSignal", "Sends a signal to devices.",
      problems: [
        .deviceNotFound, .notOwner, .groupNotFound, .deviceRevoked, .tooManySignals, .tooManyDeliveries,
        .signalNotFound,
      ], API.createSignal),
    .owner(
      "GET", "/api/v1/signals", "listSignals",
      "Lists the caller's signals, newest first; without a limit, at most 100.", API.listSignals),
    .owner(
      "GET", "/api/v1/signals/{id}", "getSignal",
      "Shows a signal and its deliveries by device; without a limit, at most 1000 of them.",
      problems: [.signalNotFound, .notOwner], API.getSignal),
    .owner(
      "POST", "/api/v1/signals/{id}/cancel", "cancelSignal",
      "Cancels a signal: no device receives it from now on, and polls list it until it expires. Repeating it changes nothing.",
      problems: [.signalNotFound, .notOwner], API.cancelSignal),

    .owner(
      "GET", "/api/v1/events", "listEvents",
      "Returns what changed, in the order of commit. The reader who continues at `next` misses nothing and sees nothing twice.",
      problems: [.cursorExpired], API.listEvents),

    .owner(
      "POST", "/api/v1/webhooks", "createWebhook",
      "Creates a webhook, to which the client's events are posted. Only this answer holds the secret that signs them.",
      problems: [.sealingKeyMissing, .tooManyWebhooks, .secretAlreadyShown], API.createWebhook),
    .owner(
      "GET", "/api/v1/webhooks", "listWebhooks", "Lists the caller's webhooks, oldest first; at most 20.",
      API.listWebhooks),
    .owner(
      "GET", "/api/v1/webhooks/{id}", "getWebhook", "Shows a webhook, and how its deliveries go.",
      problems: [.webhookNotFound, .notOwner], API.getWebhook),
    .owner(
      "PATCH", "/api/v1/webhooks/{id}", "updateWebhook", "Changes, disables or enables a webhook.",
      problems: [.webhookNotFound, .notOwner], API.updateWebhook),
    .owner(
      "DELETE", "/api/v1/webhooks/{id}", "deleteWebhook", "Deletes a webhook and the log of its deliveries.",
      problems: [.webhookNotFound, .notOwner], API.deleteWebhook),
    .owner(
      "POST", "/api/v1/webhooks/{id}/test", "testWebhook",
      "Posts a test event at once, and returns the receiver's answer.",
      problems: [.webhookNotFound, .notOwner, .sealingKeyMissing], API.testWebhook),
    .owner(
      "GET", "/api/v1/webhooks/{id}/deliveries", "listWebhookDeliveries",
      "Lists the last attempts to deliver events, newest first; without a limit, at most 100.",
      problems: [.webhookNotFound, .notOwner], API.listWebhookDeliveries),
    .owner(
      "POST", "/api/v1/webhooks/{id}/redeliver", "redeliver",
      "Delivers again all events after a position of the feed.",
      problems: [.webhookNotFound, .notOwner, .cursorExpired], API.redeliver),

    .owner(
      "POST", telegramLinkPath, "createTelegramCode",
      "Creates a code that links a Telegram chat, once, within 15 minutes: send `/start CODE` to the bot. Only this answer holds it; it replaces the caller's code before.",
      problems: [.telegramNotConfigured, .tooManyTelegramLinks, .secretAlreadyShown], API.createTelegramCode),
    .owner(
      "GET", "/api/v1/telegram/links", "listTelegramLinks",
      "Lists the chats that see and halt the caller's devices, oldest first; at most 5.", API.listTelegramLinks),
    .owner(
      "DELETE", "/api/v1/telegram/links/{id}", "deleteTelegramLink", "Cuts a chat off.",
      problems: [.telegramLinkNotFound, .notOwner], API.deleteTelegramLink),

    .device("GET", "/api/v1/device", "whoami", "Shows the device that calls.", API.whoami),
    .device(
      "GET", pollPath, "poll",
      "Returns the device's signals that are neither acknowledged nor expired, oldest first.",
      problems: [.deviceInUse, .accountNotBound], API.poll),
    .device(
      "POST", "/api/v1/device/ack", "acknowledge",
      "Records what the device did with signals. The first report on a signal counts.",
      API.acknowledge),
    .device(
      "POST", "/api/v1/device/release", "release",
      "Gives up the lease of an instance, so that another one can poll.", API.release),
    .device(
      "PUT", "/api/v1/device/context", "setContext",
      "Says where the device runs: account, terminal, program. A change is an event.", API.setContext),
    .anyone(
      "POST", "/api/v1/device/enrol", "enrol",
      "Uses a code: makes a device, or gives the code's device a new secret. Only this answer holds the secret.",
      problems: [
        .enrolmentInvalid, .tooManyDevices, .deviceNameTaken, .groupNotFound, .secretAlreadyShown,
        .tooManyRequests, .tooManyWaiting,
      ], isCharged: true, API.enrol),
    .anyone(
      "POST", tokenPath, "issueToken",
      "Issues an access token for a device's secret: OAuth 2.0 client credentials (RFC 6749, section 4.4).",
      problems: [.invalidRequest, .unsupportedGrantType, .invalidClient, .tooManyRequests, .tooManyWaiting],
      access: .oauth, isCharged: true, API.issueToken),

    .administrator(
      "POST", "/api/v1/clients", "createClient", "Adds a client, whose id is the `sub` of its tokens.",
      problems: [.clientIDTaken, .clientEmailTaken, .clientNotFound], API.createClient),
    .administrator(
      "GET", "/api/v1/clients", "listClients",
      "Lists the clients, oldest first; without a limit, at most 1000.", API.listClients),
    .administrator(
      "GET", "/api/v1/clients/{id}", "getClient", "Shows a client.",
      problems: [.clientNotFound], API.getClient),
    .administrator(
      "PATCH", "/api/v1/clients/{id}", "updateClient", "Changes a client. A member that is null is cleared.",
      problems: [.clientNotFound, .clientEmailTaken], API.updateClient),
    .administrator(
      "POST", "/api/v1/clients/{id}/suspend", "suspendClient",
      "Suspends a client at once: its owner's requests and those of all its devices are refused. Repeating it changes nothing.",
      problems: [.clientNotFound], API.suspendClient),
    .administrator(
      "POST", "/api/v1/clients/{id}/resume", "resumeClient",
      "Ends the suspension of a client. Repeating it changes nothing.",
      problems: [.clientNotFound], API.resumeClient),
    .administrator(
      "DELETE", "/api/v1/clients/{id}", "deleteClient",
      "Deletes a client, its devices and everything that belongs to them.",
      problems: [.clientNotFound], API.deleteClient),

    .administrator(
      "GET", "/api/v1/clients/{id}/events", "listClientEvents",
      "Returns what changed of a client, in the order of commit; also of a deleted one.",
      problems: [.clientNotFound, .cursorExpired], API.listClientEvents),

    .anyone("GET", "/healthz", "health", "Answers while the process runs.", access: .probe, API.health),
    .anyone("GET", "/readyz", "readiness", "Answers while the database does.", access: .probe, API.readiness),
    .anyone("GET", "/openapi.json", "openAPI", "This document.", API.openAPI),
  ])
}
