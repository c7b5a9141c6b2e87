"""The requests of each case, for a server."""
from . import fleet
from .fleet import LISTED, TO_REVOKE, TOKENS
from .servers import FastAPI, Server

DEVICES = "/api/v1/devices"
POLL, ACK, TOKEN = "/api/v1/device/poll", "/api/v1/device/ack", "/api/v1/device/token"


def step(server: Server, method: str, path: str, body: str = "", status: int = 200, fields: str = "",
         base: str = "", kind: str = "application/json", finds: str = None) -> dict:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{fields}"
    if body:
        head += f"Content-Type: {kind}\r\nContent-Length: {{length}}\r\n"
    return {"head": head + "\r\n", "body": body, "base": base, "status": status, "finds": finds}


def signed(server: Server, method: str, path: str, body: str = "", query: str = "", **options) -> dict:
    """RFC 9421 with the proof for the service; a plain HMAC for the opponent."""
    target = path + query
    if isinstance(server, FastAPI):
        base = f"{method}|{target}|{body}|{{id}}|{{nonce}}|{{created}}"
        fields = ("X-Device-Id: {id}\r\nX-Nonce: {nonce}\r\nX-Timestamp: {created}\r\nX-Signature: {proof}\r\n")
        return step(server, method, target, body, fields=fields, base=base, **options)
    covered, lines, fields = ["@method", "@path"], f'"@method": {method}\n"@path": {path}\n', ""
    if query:
        covered.append("@query")
        lines += f'"@query": {query}\n'
    if body:
        covered.append("content-digest")
        lines += '"content-digest": sha-256=:{digest}:\n'
        fields = "Content-Digest: sha-256=:{digest}:\r\n"
    names = " ".join(f'"{name}"' for name in covered)
    parameters = f'({names});created={{created}};keyid="{{id}}";nonce="{{nonce}}"'
    fields += f"Signature-Input: sig1={parameters}\r\nSignature: sig1=:{{proof}}:\r\n"
    return step(server, method, target, body, fields=fields, base=f'{lines}"@signature-params": {parameters}',
                **options)


def keys(server: Server) -> dict:
    if isinstance(server, FastAPI):
        return {"key": fleet.SECRET.encode().hex(), "mask": "00" * 32}
    return {"key": fleet.STORED_KEY.hex(), "mask": fleet.CLIENT_KEY.hex()}


BEARER = "Authorization: Bearer {token}\r\n"
NAME = '{"device_name":"{nonce}"}'


def anyone() -> list[dict]:
    return [{"id": "", "token": ""}]


def as_one(client: str, group: int, count: int) -> list[dict]:
    token = fleet.token(client)
    return [{"id": fleet.device_id(number, group), "token": token} for number in range(count)]


def plan(case: str, server: Server, size: int, pool: int = 0) -> dict:
    """The load generator's arguments, except connections and time.

    size: devices in the database; pool: those that this run alone may use up.
    """
    owned = isinstance(server, FastAPI) or hasattr(server, "database_url")
    match case:
        case "constant":
            return {"steps": [step(server, "GET", "/healthz" if owned else "/")], "actors": anyone(),
                    "order": "sequence"}
        case "get":
            return {"steps": [step(server, "GET", f"{DEVICES}/{{id}}", fields=BEARER)],
                    "actors": fleet.owned_devices(size), "order": "random"}
        case "list-ten":
            return {"steps": [step(server, "GET", DEVICES, fields=BEARER)], "actors": fleet.owners(size),
                    "order": "random"}
        case "list-page":
            # All pages of a hundred are equivalent.
            return {"steps": [step(server, "GET", f"{DEVICES}?limit=100", fields=BEARER)],
                    "actors": as_one("listed", LISTED, 1), "order": "sequence"}
        case "register":
            return {"steps": [step(server, "POST", DEVICES, NAME, 201, BEARER)],
                    "actors": [{"id": "", "token": fleet.token(f"writer-{number}")} for number in range(16)],
                    "order": "sequence"}
        case "rename":
            return {"steps": [step(server, "PATCH", f"{DEVICES}/{{id}}", NAME, fields=BEARER)],
                    "actors": fleet.owned_devices(size), "order": "random"}
        case "revoke":
            return {"steps": [step(server, "POST", f"{DEVICES}/{{id}}/revoke", status=204, fields=BEARER)],
                    "actors": as_one("revoked", TO_REVOKE, pool), "order": "once"}
        case "poll":
            return {"steps": [signed(server, "GET", POLL)], "actors": polling(size), "order": "sequence",
                    **keys(server)}
        case "deliver":
            acks = '{"acks":[{"signal_id":"{found}","status":"placed"}]}'
            return {"steps": [signed(server, "GET", POLL, query="?max=1", finds='{"signals":[{"id":"'),
                              signed(server, "POST", ACK, acks)],
                    "actors": polling(size), "order": "sequence", **keys(server)}
        case "token":
            body, kind = (
                ('{"device_id":"{id}","secret":"' + fleet.SECRET + '"}', "application/json")
                if isinstance(server, FastAPI) else
                ("grant_type=client_credentials&client_id={id}&client_secret=" + fleet.SECRET,
                 "application/x-www-form-urlencoded"))
            return {"steps": [step(server, "POST", TOKEN, body, kind=kind)],
                    "actors": as_one("tokens", TOKENS, fleet.WITH_HASH), "order": "sequence"}
    raise ValueError(case)


def polling(size: int, count: int = fleet.ACTIVE) -> list[dict]:
    """Devices spread over all there are."""
    return [{"id": fleet.device_id(number), "token": ""} for number in range(0, size, max(1, size // count))]
