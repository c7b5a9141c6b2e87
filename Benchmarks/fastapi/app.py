"""The device registry as a good Python team would write it: FastAPI, SQLAlchemy 2 on asyncpg, argon2id in threads.

It keeps each device's HMAC key readable, as such services do, and does less than ours: no audit of framing, no signed
answers, nonces that each worker remembers for itself. What is tuned: AUTOCOMMIT, as each statement stands alone;
statements built once; no connection held while hashing; orjson; no thread for what does not block.

Run as a program, it creates its tables.
"""
import asyncio
import base64
import hmac
import os
import secrets
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Annotated

import argon2
import jwt
import orjson
import sqlalchemy as sa
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel, StringConstraints
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

JWT_SECRET = os.environ["JWT_SECRET"]
SKEW_SECONDS = 300

engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://", 1),
    isolation_level="AUTOCOMMIT", pool_reset_on_return=None, pool_size=16, max_overflow=0, pool_use_lifo=True)
hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
# There is a worker for each core, and hashing leaves Python's lock.
hashing = ThreadPoolExecutor(1)
app = FastAPI(title="Device registry")

# MARK: Tables

metadata = sa.MetaData()
NOW = {"server_default": sa.func.now(), "nullable": False}
clients = sa.Table("clients", metadata, sa.Column("id", sa.Text, primary_key=True))
devices = sa.Table(
    "devices", metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("client_id", sa.ForeignKey("clients.id", ondelete="CASCADE"), nullable=False),
    sa.Column("device_name", sa.String(100), nullable=False),
    sa.Column("hmac_key_hash", sa.Text, nullable=False, unique=True),
    sa.Column("signing_key", sa.Text, nullable=False),
    sa.Column("is_active", sa.Boolean, server_default=sa.true(), nullable=False),
    sa.Column("revoked", sa.Boolean, server_default=sa.false(), nullable=False),
    sa.Column("last_poll", sa.DateTime(True)), sa.Column("last_ack", sa.DateTime(True)),
    sa.Column("last_seen", sa.DateTime(True)),
    sa.Column("created_at", sa.DateTime(True), **NOW), sa.Column("updated_at", sa.DateTime(True), **NOW),
    sa.Index("devices_name", "client_id", "device_name", unique=True, postgresql_where=sa.text("not revoked")),
    sa.Index("devices_created", "client_id", "created_at"))
signals = sa.Table(
    "signals", metadata,
    sa.Column("id", sa.Uuid, primary_key=True), sa.Column("client_id", sa.ForeignKey("clients.id"), nullable=False),
    sa.Column("payload", sa.Text, nullable=False), sa.Column("devices", sa.Integer, nullable=False),
    sa.Column("created_at", sa.DateTime(True), **NOW), sa.Column("expires_at", sa.DateTime(True), nullable=False))
deliveries = sa.Table(
    "deliveries", metadata,
    sa.Column("signal_id", sa.ForeignKey("signals.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("device_id", sa.ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("status", sa.Text), sa.Column("acked_at", sa.DateTime(True)),
    sa.Index("deliveries_pending", "device_id", "signal_id", postgresql_where=sa.text("acked_at is null")))
tokens = sa.Table(
    "tokens", metadata,
    sa.Column("hash", sa.LargeBinary, primary_key=True),
    sa.Column("device_id", sa.ForeignKey("devices.id", ondelete="CASCADE"), nullable=False),
    sa.Column("expires_at", sa.DateTime(True), nullable=False))

# MARK: Statements

PUBLIC = [column for column in devices.c if column.name not in ("hmac_key_hash", "signing_key")]
BY_ID = devices.c.id == sa.bindparam("device")
OWNED = BY_ID & (devices.c.client_id == sa.bindparam("owner"))
GET = sa.select(*PUBLIC).where(BY_ID)
LIST = sa.select(*PUBLIC).where(devices.c.client_id == sa.bindparam("owner")).order_by(
    devices.c.created_at, devices.c.id)
PAGE = LIST.limit(sa.bindparam("limit"))
INSERT = devices.insert().returning(*PUBLIC)
RENAME = devices.update().where(OWNED).values(
    device_name=sa.bindparam("name"), updated_at=sa.func.now()).returning(*PUBLIC)
REVOKE = devices.update().where(OWNED).values(
    revoked=True, is_active=False, updated_at=sa.func.now()).returning(devices.c.id)
KEYS = sa.select(devices.c.hmac_key_hash, devices.c.signing_key).where(
    BY_ID, devices.c.is_active, sa.not_(devices.c.revoked))
POLLED = devices.update().where(BY_ID).values(last_poll=sa.func.now(), last_seen=sa.func.now())
ACKED = devices.update().where(BY_ID).values(last_ack=sa.func.now(), last_seen=sa.func.now())
PENDING = sa.select(signals.c.id, signals.c.created_at, signals.c.expires_at, signals.c.payload).join(
    deliveries, deliveries.c.signal_id == signals.c.id).where(
    deliveries.c.device_id == sa.bindparam("device"), deliveries.c.acked_at.is_(None),
    signals.c.expires_at > sa.func.now()).order_by(signals.c.id).limit(sa.bindparam("limit"))
ACK = deliveries.update().where(
    deliveries.c.signal_id == sa.bindparam("signal"), deliveries.c.device_id == sa.bindparam("device"),
    deliveries.c.acked_at.is_(None)).values(status=sa.bindparam("state"), acked_at=sa.func.now())
ISSUE = tokens.insert().values(
    hash=sa.bindparam("hash"), device_id=sa.bindparam("device"),
    expires_at=sa.func.now() + sa.text("interval '15 minutes'"))


async def rows(statement, **parameters) -> list[dict]:
    async with engine.connect() as connection:
        return listed(await connection.execute(statement, parameters))


def listed(result) -> list[dict]:
    # SQLAlchemy's own kind of string, which orjson does not take for a key.
    names = [str(name) for name in result.keys()]
    return [dict(zip(names, row)) for row in result]


def json(content, status: int = 200) -> Response:
    return Response(orjson.dumps(content, default=str), status, media_type="application/json")


async def hashed(function, *arguments):
    return await asyncio.get_running_loop().run_in_executor(hashing, function, *arguments)


# MARK: Owners

class DeviceInput(BaseModel):
    device_name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


async def owner_of(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() == "bearer":
            return jwt.decode(token, JWT_SECRET, ["HS256"], options={"require": ["sub", "exp"]})["sub"]
    except jwt.InvalidTokenError:
        pass
    raise HTTPException(401, "invalid token", {"WWW-Authenticate": "Bearer"})


Owner = Annotated[str, Depends(owner_of)]


@app.exception_handler(IntegrityError)
async def conflict(_, error):
    if error.orig.sqlstate == "23503":
        return json({"detail": "no such client"}, 404)
    return json({"detail": "the name is taken"}, 409)


async def refuse(device: uuid.UUID):
    raise HTTPException(403 if await rows(GET, device=device) else 404)


@app.get("/healthz")
async def health():
    return json({"status": "ok"})


@app.post("/api/v1/devices")
async def register(body: DeviceInput, owner: Owner):
    secret = secrets.token_hex(32)
    [device] = await rows(INSERT, id=uuid.uuid4(), client_id=owner, device_name=body.device_name,
                          hmac_key_hash=await hashed(hasher.hash, secret), signing_key=secret)
    return json(device | {"secret": secret}, 201)


@app.get("/api/v1/devices")
async def list_devices(owner: Owner, limit: int | None = None):
    return json(await rows(PAGE, owner=owner, limit=limit) if limit else await rows(LIST, owner=owner))


@app.get("/api/v1/devices/{device}")
async def get_device(device: uuid.UUID, owner: Owner):
    found = await rows(GET, device=device)
    if not found:
        raise HTTPException(404)
    if found[0]["client_id"] != owner:
        raise HTTPException(403)
    return json(found[0])


@app.patch("/api/v1/devices/{device}")
async def rename(device: uuid.UUID, body: DeviceInput, owner: Owner):
    found = await rows(RENAME, device=device, owner=owner, name=body.device_name)
    return json(found[0]) if found else await refuse(device)


@app.post("/api/v1/devices/{device}/revoke")
async def revoke(device: uuid.UUID, owner: Owner):
    return Response(status_code=204) if await rows(REVOKE, device=device, owner=owner) else await refuse(device)


# MARK: Devices

nonces: dict[tuple[uuid.UUID, str], float] = {}


def is_fresh(device: uuid.UUID, nonce: str) -> bool:
    now = time.monotonic()
    while nonces and nonces[oldest := next(iter(nonces))] < now:
        del nonces[oldest]
    if (device, nonce) in nonces:
        return False
    nonces[device, nonce] = now + 2 * SKEW_SECONDS
    return True


async def authenticate(request: Request, connection) -> uuid.UUID:
    header = request.headers.get
    try:
        device, nonce = uuid.UUID(header("x-device-id", "")), header("x-nonce", "")
        is_timely = abs(int(header("x-timestamp", "")) - time.time()) <= SKEW_SECONDS
    except ValueError:
        raise HTTPException(401) from None
    key = (await connection.execute(KEYS, {"device": device})).one_or_none()
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    message = "|".join([request.method, target, (await request.body()).decode(), str(device), nonce,
                        header("x-timestamp")])
    mac = base64.b64encode(hmac.digest(key.signing_key.encode(), message.encode(), "sha256")) if key else b""
    if not (is_timely and key and hmac.compare_digest(mac, header("x-signature", "").encode())):
        raise HTTPException(401)
    if not is_fresh(device, nonce):
        raise HTTPException(401)
    return device


@app.get("/api/v1/device/poll")
async def poll(request: Request, max: int = 100):
    async with engine.connect() as connection:
        device = await authenticate(request, connection)
        found = await connection.execute(PENDING, {"device": device, "limit": max})
        pending = listed(found)
        await connection.execute(POLLED, {"device": device})
    return json({"signals": pending, "server_time": datetime.now().astimezone()})


class Ack(BaseModel):
    signal_id: uuid.UUID
    status: str


class Acks(BaseModel):
    acks: list[Ack]


@app.post("/api/v1/device/ack")
async def acknowledge(body: Acks, request: Request):
    async with engine.connect() as connection:
        device = await authenticate(request, connection)
        for ack in body.acks:
            await connection.execute(ACK, {"signal": ack.signal_id, "device": device, "state": ack.status})
        await connection.execute(ACKED, {"device": device})
    return json({"acked": [ack.signal_id for ack in body.acks]})


class Credentials(BaseModel):
    device_id: uuid.UUID
    secret: str


@app.post("/api/v1/device/token")
async def issue_token(body: Credentials):
    found = await rows(KEYS, device=body.device_id)
    try:
        if not found:
            raise HTTPException(401)
        await hashed(hasher.verify, found[0]["hmac_key_hash"], body.secret)
    except argon2.exceptions.VerificationError:
        raise HTTPException(401) from None
    token = secrets.token_bytes(32)
    async with engine.connect() as connection:
        await connection.execute(ISSUE, {"hash": token, "device": body.device_id})
    return json({"access_token": token.hex(), "token_type": "Bearer", "expires_in": 900})


async def create_tables():
    async with engine.connect() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(create_tables())
