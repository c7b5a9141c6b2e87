"""Who is in the databases: clients of ten devices each, and some that a case wants for itself. All devices have one
secret, so that any of them can sign."""
import base64
import hashlib
import hmac
import json
import time

SECRET = "5ec1" * 16
CLIENT_KEY = hmac.digest(SECRET.encode(), b"Client Key", "sha256")
STORED_KEY = hashlib.sha256(CLIENT_KEY).digest()
SERVER_KEY = hmac.digest(SECRET.encode(), b"Server Key", "sha256")
JWT_SECRET = "benchmark" * 4

PER_CLIENT = 10
# Devices that take part in a case, spread over all there are.
ACTIVE = 1000
# Devices of one client, to be listed in pages.
LONG_LIST = 1000
# Devices that have a real argon2id hash: each may ask for ten tokens a minute.
WITH_HASH = 256

# Sets of devices, each with a number that is part of the ids.
FLEET, LISTED, TO_REVOKE, TOKENS = range(4)


def device_id(number: int, group: int = FLEET) -> str:
    return f"00000000-0000-7000-{0x8000 + group:04x}-{number:012x}"


def client_id(number: int) -> str:
    return f"client-{number:07d}"


def token(subject: str) -> str:
    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    now = int(time.time())
    claims = json.dumps({"sub": subject, "iat": now, "exp": now + 86400}).encode()
    signed = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(claims)
    return signed + "." + part(hmac.digest(JWT_SECRET.encode(), signed.encode(), "sha256"))


def active(size: int) -> list[tuple[int, int]]:
    """Pairs of a device and its client, by number."""
    clients = size // PER_CLIENT
    chosen = range(0, clients, max(1, clients // (ACTIVE // PER_CLIENT)))
    return [(client * PER_CLIENT + place, client) for client in chosen for place in range(PER_CLIENT)]


def owned_devices(size: int) -> list[dict]:
    tokens = {client: token(client_id(client)) for _, client in active(size)}
    return [{"id": device_id(device), "token": tokens[client]} for device, client in active(size)]


def owners(size: int) -> list[dict]:
    return [{"id": "", "token": token(client_id(client))} for client in sorted({c for _, c in active(size)})]
