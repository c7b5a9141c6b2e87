"""Why a call failed: one class for each kind of failure, and one for each type of problem that the registry names."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import ClassVar

_TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})


class RegistryError(Exception):
    """Why a call failed. The message says what to do."""

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later, with a new signature."""
        return False

    @property
    def retry_after_seconds(self) -> int | None:
        """The seconds to wait before the next request, if the registry asks for a pause."""
        return None


class InvalidArgument(RegistryError, ValueError):
    """An argument is malformed; nothing was sent."""


class SecretFileError(RegistryError):
    """The file of a secret or a token cannot be used: it is missing, malformed, or other users can read it."""


class TokenUnavailable(RegistryError):
    """The function that returns the owner's token failed."""


class Unreachable(RegistryError):
    """No connection, or a broken one. The request may have taken effect."""

    @property
    def is_transient(self) -> bool:
        return True


class TimedOut(RegistryError):
    """No answer in time. The request may have taken effect."""

    @property
    def is_transient(self) -> bool:
        return True


class Untrusted(RegistryError):
    """The server's certificate is not trusted. Check the URL, and the certificates to trust (`ca_file`)."""


class ForgedAnswer(RegistryError):
    """The answer's signature does not prove that it is the registry's answer to this request. It was not used."""


class AnswerTooLarge(RegistryError):
    """The answer exceeds the limit and was not used."""


class MalformedAnswer(RegistryError):
    """The answer is not the JSON that the registry sends."""


class Redirected(RegistryError):
    """A redirect. It is not followed, because that would send a signature or a token elsewhere."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status

    def __str__(self) -> str:
        return f"status {self.status} is a redirect, which is not followed; use the registry's own URL"


class UnexpectedAnswer(RegistryError):
    """The answer is not the registry's: for example, a proxy answered."""

    def __init__(self, status: int, retry_after_seconds: int | None = None) -> None:
        super().__init__(status, retry_after_seconds)
        self.status = status
        self._retry_after_seconds = retry_after_seconds

    @property
    def is_transient(self) -> bool:
        return self.status in _TRANSIENT_STATUSES

    @property
    def retry_after_seconds(self) -> int | None:
        return self._retry_after_seconds

    def __str__(self) -> str:
        return f"status {self.status} without a problem document: is this the registry's URL, or did a proxy answer?"


class JournalError(RegistryError):
    """The journal cannot be used: another process uses it, it is another device's, or it cannot be written."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """A value that was missing or wrong."""

    field: str
    """The name of a JSON member or a parameter."""
    message: str
    """Completes the sentence that the field begins."""


@dataclass(frozen=True, slots=True)
class ProblemDetails:
    """The content of a problem document (RFC 9457). A member that is missing or of the wrong type has its default."""

    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""
    request_id: str | None = None
    errors: tuple[FieldError, ...] = ()
    retry_after_seconds: int | None = None
    is_signed: bool = False
    members: Mapping[str, object] = field(default_factory=dict)


class Problem(RegistryError):
    """The registry refused the request. Each type of problem has a class; an unknown type is a plain `Problem`."""

    _kind: ClassVar[str] = ""
    _classes: ClassVar[dict[str, type[Problem]]] = {}

    def __init_subclass__(cls, kind: str, **arguments: object) -> None:
        super().__init_subclass__(**arguments)
        cls._kind = kind
        Problem._classes[kind] = cls

    def __init__(self, details: ProblemDetails) -> None:
        super().__init__(details)
        self.details = details

    @staticmethod
    def of(details: ProblemDetails) -> Problem:
        """The problem as its type's class."""
        return Problem._classes.get(details.type.rsplit("/", 1)[-1], Problem)(details)

    @property
    def type(self) -> str:
        """A URI that names the type of problem."""
        return self.details.type

    @property
    def kind(self) -> str:
        """The last part of the type, for example `device-name-taken`."""
        return self._kind or self.type.rsplit("/", 1)[-1]

    @property
    def title(self) -> str:
        """The same for every problem of the type."""
        return self.details.title

    @property
    def status(self) -> int:
        """The status code of the answer."""
        return self.details.status

    @property
    def detail(self) -> str:
        """What was wrong here and what to do about it."""
        return self.details.detail

    @property
    def request_id(self) -> str | None:
        """The id to give to the registry's operator."""
        return self.details.request_id

    @property
    def errors(self) -> tuple[FieldError, ...]:
        """The values that were missing or wrong."""
        return self.details.errors

    @property
    def is_signed(self) -> bool:
        """Whether the registry signed the answer, to a device. An unsigned refusal may be forged where there is no TLS:
        try again later instead of acting on it."""
        return self.details.is_signed

    @property
    def retry_after_seconds(self) -> int | None:
        return self.details.retry_after_seconds

    @property
    def is_transient(self) -> bool:
        # Our nonces are new. If the registry has seen one, something on the network sent the request twice.
        return self.status in _TRANSIENT_STATUSES or self.kind == "replayed"

    @property
    def is_refusal_for_now(self) -> bool:
        """Whether the registry certainly did nothing, and may do it later."""
        return self.status == 429 or self.kind == "overloaded"

    def __str__(self) -> str:
        text = f"{self.status} {self.kind}: {self.detail or self.title}"
        for error in self.errors:
            text += f"; {error.field} {error.message}"
        if self.request_id:
            text += f" (request {self.request_id})"
        # Not every problem is signed: characters that could control a terminal are removed.
        return "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)

    def _text(self, name: str) -> str | None:
        value = self.details.members.get(name)
        return value if isinstance(value, str) else None

    def _number(self, name: str) -> int | None:
        value = self.details.members.get(name)
        return value if type(value) is int else None

    def _time(self, name: str) -> datetime | None:
        text = self._text(name)
        return None if text is None else time_or_none(text)


def time_or_none(text: str) -> datetime | None:
    """A time in RFC 3339, as the registry writes it; None for other text."""
    if len(text) < 20 or text[10] != "T" or text[-1] != "Z":
        return None
    try:
        return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


# Requests


class MalformedRequest(Problem, kind="malformed-request"):
    """The request breaks the rules of HTTP."""


class InvalidValue(Problem, kind="invalid-value"):
    """A value is missing or wrong; `errors` names each."""


class MalformedJSON(Problem, kind="malformed-json"):
    """The body is not the JSON that is expected."""


class PathNotFound(Problem, kind="path-not-found"):
    """There is nothing at this path: the registry is older than this library."""


class MethodNotAllowed(Problem, kind="method-not-allowed"):
    """The path does not support the method."""


class RequestTimeout(Problem, kind="request-timeout"):
    """The request did not arrive in time."""


class ContentTooLarge(Problem, kind="content-too-large"):
    """The body is too large."""


class UnsupportedMediaType(Problem, kind="unsupported-media-type"):
    """The body has an unsupported media type."""


class HeaderTooLarge(Problem, kind="header-too-large"):
    """The header is too large."""


class VersionNotSupported(Problem, kind="version-not-supported"):
    """The version of HTTP is not supported."""


class TooManyRequests(Problem, kind="too-many-requests"):
    """There were too many requests; nothing was done."""


class TooManyWaiting(Problem, kind="too-many-waiting"):
    """As many requests of the client wait as may; nothing was done."""


class InternalError(Problem, kind="internal-error"):
    """The registry failed. Report it with the `request_id`."""


class Overloaded(Problem, kind="overloaded"):
    """The registry is overloaded; nothing was done."""


class Unavailable(Problem, kind="unavailable"):
    """The registry cannot reach its database. A change may have been made: check before you repeat it."""

    @property
    def server_time(self) -> datetime | None:
        """The registry's time, if a device's request was refused because of when it was signed; then nothing was done."""
        return self._time("server_time")


# Owners


class TokenMissing(Problem, kind="token-missing"):
    """A token is needed."""


class TokenInvalid(Problem, kind="token-invalid"):
    """The token is not valid; get a new one."""


class InsufficientScope(Problem, kind="insufficient-scope"):
    """The token lacks a scope."""


class NotOwner(Problem, kind="not-owner"):
    """It belongs to another client."""


class ClientNotFound(Problem, kind="client-not-found"):
    """There is no such client."""


class DeviceNotFound(Problem, kind="device-not-found"):
    """There is no such device."""


class GroupNotFound(Problem, kind="group-not-found"):
    """The client has no group with this name."""


class EnrolmentNotFound(Problem, kind="enrolment-not-found"):
    """There is no such enrolment."""


class SignalNotFound(Problem, kind="signal-not-found"):
    """There is no such signal, or it expired long ago."""


class WebhookNotFound(Problem, kind="webhook-not-found"):
    """There is no such webhook."""


class TelegramLinkNotFound(Problem, kind="telegram-link-not-found"):
    """There is no such linked Telegram chat."""


class DeviceNameTaken(Problem, kind="device-name-taken"):
    """Another of the client's devices has this name."""


class DeviceSuspended(Problem, kind="device-suspended"):
    """The device is suspended: try again later."""

    @property
    def reason(self) -> str | None:
        """What the owner gave as the reason."""
        return self._text("reason")

    @property
    def until(self) -> datetime | None:
        """When the suspension ends; None if its owner ends it."""
        return self._time("until")


class DeviceExpired(Problem, kind="device-expired"):
    """The device has expired; its owner can set a later time."""

    @property
    def expires_at(self) -> datetime | None:
        """When it expired."""
        return self._time("expires_at")


class ClientSuspended(Problem, kind="client-suspended"):
    """The client is suspended, and with it all its devices."""

    @property
    def reason(self) -> str | None:
        """What the operator gave as the reason."""
        return self._text("reason")


class DeviceNotRevoked(Problem, kind="device-not-revoked"):
    """Only a revoked device can be deleted."""


class DeviceRevoked(Problem, kind="device-revoked"):
    """The device is revoked, which is final."""


class TooManyDevices(Problem, kind="too-many-devices"):
    """The client has as many devices as it may have."""


class ExpectationFailed(Problem, kind="expectation-failed"):
    """`expect` is not the number of devices that match; nothing was done."""

    @property
    def matched(self) -> int | None:
        """The number of devices that match."""
        return self._number("matched")


class TooManyGroups(Problem, kind="too-many-groups"):
    """The client has as many groups as one may have, or the device is in as many as one may be."""


class TooManyEnrolments(Problem, kind="too-many-enrolments"):
    """The client has as many enrolments as one may have."""


class TooManySignals(Problem, kind="too-many-signals"):
    """The client has as many signals as one may have."""


class TooManyDeliveries(Problem, kind="too-many-deliveries"):
    """The client's signals have as many deliveries as they may have."""


class TooManyWebhooks(Problem, kind="too-many-webhooks"):
    """The client has as many webhooks as one may have."""


class SealingKeyMissing(Problem, kind="sealing-key-missing"):
    """The registry has no key that seals the secrets of webhooks."""


class TooManyTelegramLinks(Problem, kind="too-many-telegram-links"):
    """As many Telegram chats are linked to the client as may be."""


class TelegramNotConfigured(Problem, kind="telegram-not-configured"):
    """The registry has no Telegram bot."""


class ClientIDTaken(Problem, kind="client-id-taken"):
    """Another client has this id."""


class ClientEmailTaken(Problem, kind="client-email-taken"):
    """Another client has this e-mail address."""


class CursorExpired(Problem, kind="cursor-expired"):
    """Events after the cursor were deleted. Read the present state, and begin again without the cursor."""


class IdempotencyMismatch(Problem, kind="idempotency-mismatch"):
    """The idempotency key was used for another request."""


class IdempotencyInProgress(Problem, kind="idempotency-in-progress"):
    """A request with this idempotency key has not ended."""


class TooManyIdempotencyKeys(Problem, kind="too-many-idempotency-keys"):
    """The client used as many idempotency keys as one may in 24 hours; nothing was done."""


class SecretAlreadyShown(Problem, kind="secret-already-shown"):
    """A request with the same idempotency key succeeded, and its answer was the only one with the secret."""

    @property
    def device_id(self) -> str | None:
        """The device that has the secret."""
        return self._text("device_id")

    @property
    def enrolment_id(self) -> str | None:
        """The enrolment that has the code."""
        return self._text("enrolment_id")

    @property
    def webhook_id(self) -> str | None:
        """The webhook that has the secret."""
        return self._text("webhook_id")


# Devices


class SignatureMissing(Problem, kind="signature-missing"):
    """A signature or a token is needed."""


class SignatureMalformed(Problem, kind="signature-malformed"):
    """The signature is malformed or covers too little."""


class ClockSkew(Problem, kind="clock-skew"):
    """The signature is too old or from the future: set the clock to `server_time`."""

    @property
    def server_time(self) -> datetime | None:
        """The registry's time."""
        return self._time("server_time")


class SignatureInvalid(Problem, kind="signature-invalid"):
    """Unknown device, wrong secret, or a request that was changed after it was signed."""


class DeviceInUse(Problem, kind="device-in-use"):
    """Another instance of the program has the lease on the device: a terminal left running elsewhere, or a copied secret."""

    @property
    def since(self) -> datetime | None:
        """When the other instance took the lease."""
        return self._time("since")

    @property
    def last_poll(self) -> datetime | None:
        """When the other instance last polled."""
        return self._time("last_poll")


class AccountNotBound(Problem, kind="account-not-bound"):
    """The owner bound the device to another account than the one that it runs on."""


class EnrolmentInvalid(Problem, kind="enrolment-invalid"):
    """The code is unknown, used or expired; ask the owner for another one."""


class Replayed(Problem, kind="replayed"):
    """The nonce was used before."""
