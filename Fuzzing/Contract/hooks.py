"""What schemathesis must know of the registry beyond its OpenAPI document: who calls which route, and how a device
signs (RFC 9421, with the proof of RFC 5802: ClientKey XOR HMAC-SHA-256(StoredKey, signature base)).

From the environment: CONTRACT_OWNER and CONTRACT_ADMINISTRATOR, tokens; CONTRACT_DEVICE and CONTRACT_SECRET, a device
of a client that neither of them is; CONTRACT_CURSOR, a position in the feed of events; CONTRACT_KEPT, the clients who must not be removed, with spaces between; CONTRACT_ROUTES, a file that gets the
routes which never succeeded; CONTRACT_BOT_PORT, where the registry looks for Telegram's Bot API.
"""
import atexit, base64, collections, hashlib, hmac, json, os, secrets, time

import bot_api
import requests
import schemathesis

KEPT = os.environ["CONTRACT_KEPT"].split()
ENDING = {"DELETE /api/v1/clients/{id}", "POST /api/v1/clients/{id}/suspend", "PATCH /api/v1/clients/{id}"}
WAITS = [str(seconds) for seconds in range(1, 31)]


def mac(key, message):
    return hmac.new(key, message, hashlib.sha256).digest()


def text(data):
    return base64.b64encode(data).decode()


class Bearer(requests.auth.AuthBase):
    def __init__(self, token):
        self.token = token

    def __call__(self, request):
        request.headers["Authorization"] = "Bearer " + self.token
        return request


class Signature(requests.auth.AuthBase):
    """Signs what is about to be sent, as it goes over the wire."""

    def __init__(self, device, secret):
        self.device = device
        self.secret = secret
        self.client_key = mac(secret.encode(), b"Client Key")
        self.stored_key = hashlib.sha256(self.client_key).digest()

    def __call__(self, request):
        path, mark, query = request.path_url.partition("?")
        covered = [("@method", request.method), ("@path", path)]
        if mark:
            covered.append(("@query", "?" + query))
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        if body:
            request.headers["Content-Digest"] = "sha-256=:" + text(hashlib.sha256(body).digest()) + ":"
            covered.append(("content-digest", request.headers["Content-Digest"]))
        else:
            request.headers.pop("Content-Digest", None)
        names = " ".join(f'"{name}"' for name, _ in covered)
        parameters = f'({names});created={int(time.time())};keyid="{self.device}";nonce="{secrets.token_hex(16)}"'
        base = "\n".join([f'"{name}": {value}' for name, value in covered] + [f'"@signature-params": {parameters}'])
        proof = bytes(a ^ b for a, b in zip(self.client_key, mac(self.stored_key, base.encode())))
        request.headers["Signature-Input"] = "sig1=" + parameters
        request.headers["Signature"] = "sig1=:" + text(proof) + ":"
        return request


bot_api.start(int(os.environ["CONTRACT_BOT_PORT"]))
owner = Bearer(os.environ["CONTRACT_OWNER"])
administrator = Bearer(os.environ["CONTRACT_ADMINISTRATOR"])
device = Signature(os.environ["CONTRACT_DEVICE"], os.environ["CONTRACT_SECRET"])

schemathesis.auth.set_from_requests(owner).apply_to(path_regex="^/api/v1/(devices|groups|enrolments|signals|events|webhooks|stats|telegram)")
schemathesis.auth.set_from_requests(administrator).apply_to(path_regex="^/api/v1/clients")
schemathesis.auth.set_from_requests(device).apply_to(path_regex="^/api/v1/device($|/(poll|ack|release|context)$)")


# Ids that the service gave out, by the path that lists what has them; and how each route was answered.
ids = collections.defaultdict(list)
answers = collections.defaultdict(collections.Counter)
# Codes of enrolments that were not used.
codes = []
# Devices that were revoked and not deleted.
revoked = []
# Names of groups that were created.
groups = []
# What each action on many devices takes, besides the devices.
BULK_MEMBERS = {
    "suspend": ("until",), "rename": ("names",), "set_labels": ("labels",), "add_to_group": ("group",),
    "remove_from_group": ("group",), "set_expiry": ("expires_at",), "set_trading_mode": ("trading_mode", "cancel_signals"),
}


@schemathesis.hook
def before_call(context, case, kwargs):
    is_positive = case.meta is not None and case.meta.generation.mode.is_positive
    query = case.query if isinstance(case.query, dict) else {}
    known = ids[case.operation.path.partition("/{id}")[0].replace("/groups/{name}", "")]
    # An id that is made up names nothing: mostly, one that exists takes its place. Half of them are never revoked, because
    # what is revoked is of no use to the other routes.
    # Leaving a group is no end.
    is_removal = case.operation.label.startswith("DELETE /api/v1/") and "/groups/{name}/" not in case.operation.path
    is_revocation = case.operation.path.endswith("/revoke") or is_removal
    usable = known[0::2] if is_revocation else known[1::2]
    id = case.path_parameters.get("id")
    turn = sum(answers[case.operation.label].values())
    is_to_replace = is_revocation and id in known or is_positive and turn % 4
    if id is not None and usable and id not in usable and is_to_replace:
        case.path_parameters["id"] = usable[turn % len(usable)]
    # The same of groups. Half of them are never deleted.
    is_deletion = case.operation.label == "DELETE /api/v1/groups/{name}"
    names = groups[0::2] if is_deletion else groups[1::2]
    is_new = case.operation.label == "PUT /api/v1/groups/{name}"
    if "name" in case.path_parameters and names and is_positive and not is_new and turn % 4:
        case.path_parameters["name"] = names[turn % len(names)]
    # No schema says that a device is changed in something, that its end is in the future, and that its groups exist.
    if case.operation.path.startswith("/api/v1/devices") and is_positive and isinstance(case.body, dict):
        for end in ("expires_at", "until"):
            if case.body.get(end):
                case.body[end] = "2099-01-01T00:00:00+01:00"
        if case.body.get("groups"):
            case.body["groups"] = names[-1:]
        if case.operation.label.startswith("PATCH ") and not case.body.get("device_name"):
            case.body["labels"] = {"key": "value"}
    # Nor what each action on many devices needs. It changes devices that are revoked anyway, or nothing.
    if case.operation.path == "/api/v1/devices/bulk" and is_positive and isinstance(case.body, dict):
        chosen = ids["/api/v1/devices"][0:1] or [device.device]
        values = {
            "until": "2099-01-01T00:00:00Z", "names": {chosen[0]: "renamed"}, "labels": {"key": "value"}, "group": "none",
            "expires_at": None, "trading_mode": "normal", "cancel_signals": True, "select": {"device_ids": chosen},
        }
        action = case.body.get("action")
        of_action = BULK_MEMBERS.get(action, ()) + (("select",) if action != "rename" else ())
        case.body = {name: value for name, value in case.body.items() if name not in values} | {
            name: values[name] for name in of_action
        } | {"dry_run": action in ("revoke", "suspend")}
    # No schema makes text in base64.
    if case.operation.path.endswith("/diagnose") and is_positive and isinstance(case.body, dict):
        case.body["body_base64"] = text(os.urandom(turn % 64))
    # The longest name has no room for a number. The groups must exist, and the end be in the future.
    if case.operation.path == "/api/v1/enrolments" and is_positive and isinstance(case.body, dict):
        case.body.pop("count", None)
        if case.body.get("groups"):
            case.body["groups"] = names[-1:]
        if case.body.get("device_expires_at"):
            case.body["device_expires_at"] = "2099-01-01T00:00:00+01:00"
    # The clients that call are never deleted, suspended or limited.
    if case.operation.label in ENDING and case.path_parameters.get("id") in KEPT:
        case.path_parameters["id"] = "nobody"
    # A poll may wait for half a minute. That it does is tested elsewhere; here it would be all the time there is.
    if case.operation.path == "/api/v1/device/poll" and str(query.get("wait")) in WAITS:
        query["wait"] = 0
    # Each instance that is made up is another one, which gets signals only if it takes over; without one, nothing is taken.
    if case.operation.path == "/api/v1/device/poll" and is_positive:
        query.pop("takeover", None)
        if query.get("instance"):
            query["takeover"] = 1
    # Only a revoked device is deleted.
    if case.operation.label == "DELETE /api/v1/devices/{id}" and is_positive and revoked:
        case.path_parameters["id"] = revoked.pop()
    # Only a secret that exists gets a token.
    if case.operation.path == "/api/v1/device/token" and is_positive and isinstance(case.body, dict):
        case.body |= {"client_id": device.device, "client_secret": device.secret}
    # Only a code that exists makes a device.
    if case.operation.path == "/api/v1/device/enrol" and is_positive and isinstance(case.body, dict) and codes:
        case.body["code"] = codes.pop()
    # A receiver that cannot be reached is called all the same: half of them need no look-up of a name, which takes long.
    if case.operation.path.startswith("/api/v1/webhooks") and is_positive and isinstance(case.body, dict):
        if case.body.get("url") and turn % 2:
            case.body["url"] = "https://127.0.0.1/"
        if "after" in case.body:
            case.body["after"] = os.environ["CONTRACT_CURSOR"]
    # No schema tells which cursors are good: one that is made up is sent only where a bad value is meant.
    if is_positive:
        query.pop("cursor", None)
        query.pop("after", None)
        query.pop("types", None)
    # No schema says that a period begins before it ends, or that only a list by device has pages.
    if case.operation.path.endswith("/stats") and is_positive:
        query.pop("from", None)
        query.pop("limit", None)
        if query.get("to"):
            query["to"] = "2026-01-01T00:00:00Z"
    # Two keys that are made up may be the same. What a repeated key does is tested elsewhere.
    if is_positive and case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = secrets.token_hex(16)
    # As with polls.
    if case.operation.path.endswith("/events") and str(query.get("wait")) in WAITS:
        query["wait"] = 0


@schemathesis.hook
def after_call(context, case, response):
    answers[case.operation.label][response.status_code] += 1
    if case.operation.path == "/api/v1/devices/{id}/revoke" and response.status_code == 204:
        revoked.append(case.path_parameters["id"])
    if response.status_code == 201:
        created = json.loads(response.content)
        for one in created if isinstance(created, list) else [created]:
            ids[case.operation.path].append(one.get("id"))
            if case.operation.path == "/api/v1/groups/{name}":
                groups.append(one["name"])
            if case.operation.path == "/api/v1/telegram/link":
                bot_api.link(one["code"])
            elif "code" in one:
                codes.append(one["code"])
    # Chats are linked by the bot.
    if case.operation.label == "GET /api/v1/telegram/links" and response.status_code == 200:
        ids[case.operation.path] = [link["id"] for link in json.loads(response.content)]


@atexit.register
def show_answers():
    """A route that never answered well was not tested, whatever the checks say."""
    print("Answers by status:")
    for label, statuses in sorted(answers.items()):
        print(f"  {label:40}", " ".join(f"{status}: {count}" for status, count in sorted(statuses.items())))
    if os.environ.get("CONTRACT_ROUTES"):
        with open(os.environ["CONTRACT_ROUTES"], "w") as file:
            bad = [label for label, statuses in answers.items() if not any(200 <= s < 300 for s in statuses)]
            file.write("".join(label + "\n" for label in sorted(bad)))
