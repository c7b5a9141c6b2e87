"""What the registry answers. Members have the names of the HTTP API; times have the time zone UTC."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from ._credentials import Credentials, write_secret_file

AckStatus: TypeAlias = Literal["placed", "failed", "skipped"]
"""What a device did with a signal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingMode:
    """What a device may trade, and what it has confirmed."""

    mode: str
    """`normal`; `close_only`: open no positions; `halted`: place no orders."""
    version: int
    """Grows with each change."""
    reason: str | None
    since: datetime
    confirmed_version: int | None = None
    """The version that the device last said it obeys. The owner sees it."""
    confirmed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The instance of a program that has the lease on a device."""

    id: str
    since: datetime
    last_poll: datetime


@dataclass(frozen=True, slots=True)
class Account:
    """The account that a device trades on."""

    login: str
    """Its number, as text."""
    server: str
    """The broker's name of the server."""
    mode: str
    """`demo`, `contest` or `real`."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """The terminal that a device runs in."""

    name: str
    build: str


@dataclass(frozen=True, slots=True)
class Program:
    """The trading program."""

    name: str
    version: str
    symbol: str | None = None
    magic: str | None = None
    """The magic number of its orders, as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where a device runs, as it said."""

    account: Account
    terminal: Terminal | None = None
    program: Program | None = None


@dataclass(frozen=True, slots=True)
class BoundAccount:
    """The only account that a device may trade on."""

    login: str
    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device as the registry knows it."""

    id: str
    client_id: str
    """The client that owns the device."""
    device_name: str
    is_active: bool
    """Whether it may be used: `status` is `active`."""
    revoked: bool
    """Whether it was revoked, which is final."""
    status: str
    """`active`, `suspended`, `expired` or `revoked`: the worst that applies."""
    status_reason: str | None
    """Why it is suspended or revoked."""
    suspended_until: datetime | None
    """When the suspension ends."""
    expires_at: datetime | None
    labels: Mapping[str, str]
    groups: tuple[str, ...]
    online: bool
    """Whether it sent a request recently."""
    trading_mode: TradingMode
    context: Context | None
    """Where it runs; None until it says so."""
    bound_account: BoundAccount | None
    """The only account that it may trade on; None for any."""
    instance: Instance | None
    """Which instance of its program has the lease."""
    last_poll: datetime | None
    """When it last polled for signals; None until then. The same holds for the next two."""
    last_ack: datetime | None
    last_seen: datetime | None
    """When it last authenticated."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredDevice(Device):
    """A device with its new secret, which only this value contains: `save` it where only the device can read it."""

    secret: str = field(repr=False)
    """64 lower-case hexadecimal characters."""
    hmac_key_hash: str = field(repr=False)
    """What the registry stores to verify the secret: argon2id, a PHC string."""
    grace_expires_at: datetime | None = None
    """After a rotation, when the previous secret stops working, unless this one is used earlier."""

    def credentials(self) -> Credentials:
        """For a device client."""
        return Credentials(self.id, self.secret)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes id and secret to a new file, for `Credentials.from_file`. Raises `SecretFileError`, also if it exists."""
        write_secret_file(path, f"{self.id}\n{self.secret}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallingDevice(Device):
    """The device that calls."""

    server_time: datetime
    """The registry's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedDevice:
    """A device that a bulk change left unchanged."""

    device_id: str
    type: str
    """Why: the `type` of the problem that a single change would raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkResult:
    """What a bulk change did, or would do."""

    matched: int
    """The devices that were selected: the sum of the others."""
    changed: int
    unchanged: int
    """Devices that already were so."""
    refused: tuple[RefusedDevice, ...]
    dry_run: bool
    """Whether nothing was changed, because that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The owner's devices, counted."""

    total: int
    by_status: Mapping[str, int]
    online: int
    by_group: Mapping[str, int]
    by_mode: Mapping[str, int]
    """The trading modes of the devices that are not revoked."""
    mode_unconfirmed: int
    """How many have not confirmed their trading mode."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGroup:
    """A group of devices."""

    name: str
    description: str | None
    devices: int
    """How many devices are in it, revoked ones included."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with a signature."""

    part: str
    """A header field, a parameter or a component of the signature, `base` or `secret`."""
    message: str
    verifies_if_changed: bool
    """Whether the device's secret signed the request, apart from this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Why a signature does not verify."""

    verifies: bool
    """Whether form, digest and signature are accepted. Times and the nonce are not tested."""
    signature_base: str | None
    """What the device has to sign, for what it sent; None if that cannot be read."""
    findings: tuple[Finding, ...]
    """First that with which the signature would verify."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedEnrolment:
    """A code with which a terminal gets its device and secret. Only this value contains it."""

    id: str
    code: str = field(repr=False)
    """Works once, in either case, with or without hyphens."""
    device_id: str | None
    """The device whose secret the code replaces; None if the code makes a device."""
    device_name: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """What became of a code."""

    id: str
    status: str
    """`open` while the code works; then `used` or `expired`."""
    device_id: str | None
    """The device whose secret the code replaces, or that it made."""
    device_name: str | None
    labels: Mapping[str, str]
    """Of the device that the code makes, as are the next two."""
    groups: tuple[str, ...]
    device_expires_at: datetime | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSignal:
    """A signal as a device gets it."""

    id: str
    """For the acknowledgement."""
    created_at: datetime
    expires_at: datetime
    payload: Mapping[str, Any]
    """The JSON object that the owner sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableSignal:
    """A signal that this library cannot read. It does not affect other signals."""

    id: str | None
    """For the acknowledgement; None if the id cannot be read either."""
    reason: str
    """What is wrong, for a log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollResult:
    """The result of a poll."""

    signals: tuple[DeviceSignal, ...]
    """Those that are neither acknowledged nor expired, oldest first."""
    server_time: datetime
    """The registry's time."""
    trading_mode: TradingMode
    """What the device may trade. `poll(mode_version=...)` confirms it."""
    next_poll_ms: int
    """Milliseconds after which a device that does not wait should poll again. One that waits may do so at once."""
    cancelled: tuple[str, ...]
    """Ids of signals that the owner cancelled, until they expire."""
    unreadable: tuple[UnreadableSignal, ...] = ()
    """Signals that cannot be read. They count towards `max` until they are acknowledged, for example as failed, or
    expire."""
    retry_after_seconds: int | None = None
    """The seconds to wait before the next poll, if the registry asks for a pause."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a device did with a signal."""

    signal_id: str
    status: AckStatus
    broker_ticket: str | None = None
    """The broker's number of the order, at most 64 characters."""
    error: str | None = None
    """Why the order was not placed, at most 500 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AckResult:
    """The registry's answer to acknowledgements."""

    acked: tuple[str, ...]
    """Ids of signals that are acknowledged, by this request or an earlier one."""
    unknown: tuple[str, ...]
    """Ids of signals that are not this device's."""
    trading_mode: TradingMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A signal as its owner sees it."""

    id: str
    created_at: datetime
    expires_at: datetime
    devices: int
    """The number of devices that it was sent to."""
    cancelled_at: datetime | None
    """When its owner cancelled it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The delivery of a signal to one device."""

    device_id: str
    state: str
    """`pending`, `handed_out`, `acked`, `expired` or `cancelled`."""
    handed_out_at: datetime | None
    """When a poll of the device first returned the signal."""
    status: str | None
    """The device's acknowledgement, an `AckStatus`; None until there is one."""
    broker_ticket: str | None
    error: str | None
    acked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Durations in milliseconds, at most an eighth longer than they were; None without any."""

    p50: int | None
    p95: int | None
    max: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What devices did in an hour or a day of UTC."""

    device_id: str | None = None
    """The device; None for several together."""
    group: str | None = None
    """The group; None for devices in no group, and unless the statistics are by group."""
    from_: datetime
    """The start of the hour or day."""
    polls: int
    online_seconds: int
    signals: int
    """Signals that polls returned for the first time."""
    placed: int
    failed: int
    skipped: int
    expired: int
    """Signals that expired before they were acknowledged."""
    cancelled: int
    handed_out_ms: Percentiles
    """From a signal's creation until a poll first returned it."""
    acked_ms: Percentiles
    """From a signal's creation until it was acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentSignal(Signal):
    """A signal with its payload, and its deliveries, of which there may be more: see `OwnerClient.deliveries`."""

    payload: Mapping[str, Any]
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancellation:
    """What became of the deliveries of a signal that was cancelled."""

    cancelled: int
    """Deliveries that devices do not get any more."""
    too_late: int
    """Deliveries that were acknowledged before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who made a change."""

    kind: str
    """`owner`, `admin`, `device`, `operator` or `system`."""
    id: str | None
    """The `sub` of the actor's token, or the device's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to the owner's devices, signals or webhooks."""

    id: str
    type: str
    """For example `device.revoked`; docs/events.md lists all types."""
    at: datetime
    client_id: str
    device_id: str | None = None
    signal_id: str | None = None
    actor: Actor
    request_id: str | None = None
    """The `X-Request-Id` of the request that made the change."""
    reason: str | None = None
    """What the actor gave as the reason."""
    changes: Mapping[str, Any] | None = None
    """By name, the old and the new value in a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """A part of the feed of events."""

    events: tuple[Event, ...]
    """In the order of commit. A page of a filtered feed may be empty although there is more."""
    next: str
    """Where to continue: the `after` of the next request. It changes also while nothing happens."""
    retry_after_seconds: int | None = None
    """The seconds to wait before the next request, if the registry asks for a pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelegramCode:
    """A code that links a Telegram chat: send `/start CODE` to the registry's bot."""

    code: str = field(repr=False)
    """Works once, and is shown only here."""
    expires_at: datetime
    bot: str | None
    """The bot's user name on Telegram; None while the registry does not know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelegramLink:
    """A Telegram chat that sees and halts the owner's devices."""

    id: str
    user_id: int
    """The user's id on Telegram."""
    created_at: datetime
    muted_until: datetime | None
    """Until when the chat gets no messages about devices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A URL to which the registry posts the owner's events."""

    id: str
    client_id: str
    url: str
    types: tuple[str, ...] | None
    """Types of events, and patterns such as `device.*`; None for all."""
    description: str | None
    status: str
    """`active`; `failing`: the last attempt failed and is repeated; `disabled`: nothing is delivered until the owner enables
    it."""
    failures: int
    """Failed attempts at the next event in a row."""
    failing_since: datetime | None
    next_attempt_at: datetime | None
    disabled_at: datetime | None
    disabled_because: str | None
    """`failing`, `gone` or `owner`."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedWebhook(Webhook):
    """A new webhook with its secret, which only this value contains."""

    secret: str = field(repr=False)
    """`whsec_` and base64: libraries of Standard Webhooks verify deliveries with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """An attempt to deliver an event."""

    event_id: str
    type: str
    attempt: int
    """1 for the first attempt at the event."""
    at: datetime
    duration_ms: int
    delivered: bool
    """Whether the receiver answered with a 2xx status."""
    status: int | None
    """The status of the answer; None without an answer."""
    response: str | None
    """The beginning of the answer's content."""
    error: str | None
    """Why there was no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client, whose id is the `sub` of its tokens."""

    id: str
    email: str | None
    telegram_id: int | None
    status: str
    """`active` or `suspended`."""
    status_reason: str | None
    max_devices: int | None
    """The number of devices that it may have; None for the registry's default."""
    device_count: int
    created_at: datetime
