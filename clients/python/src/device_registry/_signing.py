"""Signatures of requests and answers: the form of RFC 9421, the proof of SCRAM (RFC 5802). No input or output."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

from ._credentials import Credentials, Keys
from ._errors import ClockSkew, ForgedAnswer, Unavailable
from ._messages import Answer

_MAXIMUM_CORRECTION_SECONDS = 24 * 60 * 60
"""The greatest correction of the device's clock that an answer may ask for."""
_UNIMPORTANT_SECONDS = 5
"""A registry that has just started refuses what was signed before. Is the clock that wrong, correcting it helps."""
_MAXIMUM_SIGNATURE_FIELD_CHARACTERS = 8192

_LABEL = r"[a-z*][a-z0-9_.*-]*"
_TEXT = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
# A member of Signature-Input: an inner list of component names, and parameters (RFC 8941, section 3.1.1).
_INPUT = re.compile(
    rf"(?P<label>{_LABEL})=(?P<value>\((?P<covered>(?:{_TEXT}(?: {_TEXT})*)?)\)"
    rf"(?P<parameters>(?:;{_LABEL}=(?:{_TEXT}|-?[0-9]{{1,15}}))*))"
)
_BYTES = re.compile(rf"(?P<label>{_LABEL})=:(?P<value>[A-Za-z0-9+/]*={{0,2}}):")
_COMMA = re.compile(r"[ \t]*,[ \t]*")
_PARAMETER = re.compile(rf"(?P<name>{_LABEL})=(?P<value>{_TEXT}|-?[0-9]{{1,15}})")


def content_digest(body: bytes) -> str:
    """`Content-Digest` (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def new_nonce() -> str:
    """128 random bits, in 22 characters."""
    return secrets.token_urlsafe(16)


def signature_base(lines: list[tuple[str, str]], parameters: str) -> bytes:
    """What is signed (RFC 9421, section 2.5): a line for each covered component, and the parameters."""
    return "\n".join(f'"{name}": {value}' for name, value in [*lines, ("@signature-params", parameters)]).encode()


def sign_request(
    credentials: Credentials, method: str, target: str, body: bytes, *, nonce: str, created: int
) -> dict[str, str]:
    """The header fields to send with a request; `target` is path and query exactly as they are sent.

    Covers the method, the path, the query if there is one, and the body if there is one.
    """
    path, question_mark, query = target.partition("?")
    lines = [("@method", method), ("@path", path)]
    if question_mark:
        lines.append(("@query", "?" + query))
    fields = {}
    if body:
        fields["Content-Digest"] = content_digest(body)
        lines.append(("content-digest", fields["Content-Digest"]))
    covered = " ".join(f'"{name}"' for name, _ in lines)
    parameters = f'({covered});created={created};keyid="{credentials.id}";nonce="{nonce}"'
    proof = request_proof(credentials.keys, signature_base(lines, parameters))
    fields["Signature-Input"] = f"sig1={parameters}"
    fields["Signature"] = f"sig1=:{base64.b64encode(proof).decode()}:"
    return fields


def request_proof(keys: Keys, base: bytes) -> bytes:
    """ClientKey XOR HMAC(StoredKey, base): shows knowledge of the secret to a registry that does not have it."""
    mac = hmac.digest(keys.stored_key, base, "sha256")
    return bytes(a ^ b for a, b in zip(keys.client_key, mac, strict=True))


def is_signed(fields: Mapping[str, str]) -> bool:
    """Whether an answer has a signature, valid or not."""
    return "signature" in fields or "signature-input" in fields


def verify_answer(credentials: Credentials, answer: Answer, nonce: str) -> int:
    """Returns when the answer was signed, in seconds since 1970. Raises `ForgedAnswer` unless it is signed with the server key,
    for this device and nonce, covers its status and body, and has that body."""
    if not is_signed(answer.fields):
        raise _forged("it is not signed")
    signed = _signed(answer.fields, credentials.id)
    if not {"@status", "content-digest"} <= set(signed.covered):
        raise _forged("its signature does not cover the status and the body")
    if signed.nonce != nonce:
        raise _forged("it is signed for another request")
    if signed.created is None:
        raise _forged("its signature has no time")
    if not _has_digest(answer.fields.get("content-digest", ""), answer.body):
        raise _forged("its body is not the one that was signed")
    base = signature_base([(name, _component(answer, name)) for name in signed.covered], signed.value)
    if not hmac.compare_digest(hmac.digest(credentials.keys.server_key, base, "sha256"), signed.signature):
        raise _forged("it was not signed by the registry with this device's secret")
    return signed.created


@dataclass(frozen=True, slots=True)
class _Signed:
    covered: tuple[str, ...]
    value: str
    """Of the member of `Signature-Input`: what `@signature-params` is."""
    nonce: str | None
    created: int | None
    signature: bytes


def _signed(fields: Mapping[str, str], key_id: str) -> _Signed:
    """The signature whose keyid is the device's."""
    inputs = _members(_INPUT, fields.get("signature-input", ""))
    signatures = _members(_BYTES, fields.get("signature", ""))
    for label, member in inputs.items():
        parameters = {match["name"]: match["value"] for match in _PARAMETER.finditer(member["parameters"])}
        if parameters.get("keyid") != f'"{key_id}"':
            continue
        if label not in signatures:
            raise _forged("Signature lacks what Signature-Input names")
        covered = tuple(name[1:-1] for name in re.findall(_TEXT, member["covered"]))
        if len(set(covered)) != len(covered):
            raise _forged("its signature covers a component twice")
        return _Signed(
            covered=covered,
            value=member["value"],
            nonce=parameters.get("nonce", "")[1:-1],
            created=int(parameters["created"]) if parameters.get("created", '"').isdigit() else None,
            signature=_decoded(signatures[label]["value"]),
        )
    raise _forged("it is signed for another device")


def _members(pattern: re.Pattern[str], text: str) -> dict[str, re.Match[str]]:
    """The members of a dictionary, by name."""
    if len(text) > _MAXIMUM_SIGNATURE_FIELD_CHARACTERS:
        raise _forged("its signature is malformed")
    members: dict[str, re.Match[str]] = {}
    position = 0
    while True:
        match = pattern.match(text, position)
        if match is None or match["label"] in members:
            raise _forged("its signature is malformed")
        members[match["label"]] = match
        if match.end() == len(text):
            return members
        comma = _COMMA.match(text, match.end())
        if comma is None:
            raise _forged("its signature is malformed")
        position = comma.end()


def _has_digest(field: str, body: bytes) -> bool:
    members = _members(_BYTES, field)
    member = members.get("sha-256")
    return member is not None and hmac.compare_digest(_decoded(member["value"]), hashlib.sha256(body).digest())


def _decoded(text: str) -> bytes:
    """Canonical base64: the same bytes have one text."""
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise _forged("its signature is malformed") from None
    if base64.b64encode(value).decode() != text:
        raise _forged("its signature is malformed")
    return value


def _component(answer: Answer, name: str) -> str:
    if name == "@status":
        return str(answer.status)
    if name.startswith("@") or name not in answer.fields:
        raise _forged("its signature covers what it does not have")
    return answer.fields[name]


def _forged(reason: str) -> ForgedAnswer:
    return ForgedAnswer(
        f"the answer is ignored, because {reason}: check that the secret is this device's and that no proxy changes answers"
    )


@dataclass(slots=True)
class _ClockOffsets:
    """Differences of the registry's clock to ours, in seconds."""

    confirmed: float = 0.0
    """By a signed answer."""
    proposed: float | None = None
    """From an unsigned answer, until a signed answer arrives."""


class SignedExchange:
    """Signs a device's requests, verifies their answers, and knows how far the clock is from the registry's. Any thread
    may use it."""

    def __init__(self, credentials: Credentials, clock: Callable[[], float] = time.time) -> None:
        self.credentials = credentials
        self._clock = clock
        self._offsets = _ClockOffsets()
        # The last time of the registry that an answer proved, and when it arrived, by a clock that nothing sets back.
        self._proved: tuple[float, float] | None = None
        self._lock = threading.Lock()

    def now(self) -> float:
        """The registry's time in seconds since 1970: as signed answers prove it, or by our clock until there is one."""
        with self._lock:
            if self._proved is None:
                return self._clock()
            server_time, arrival = self._proved
            return server_time + time.monotonic() - arrival

    def attempts(self, method: str, target: str, body: bytes) -> Generator[dict[str, str], Answer, bool]:
        """Yields the header fields to send with a request, is sent the answer, and ends when that answer is the result:
        at once, or after a second attempt if the registry shows that the device's clock is wrong. The result says whether
        the answer is signed. Raises `ForgedAnswer`."""
        with self._lock:
            offset = self._offsets.confirmed
        answer, signed = yield from self._attempt(method, target, body, offset)
        server_time = None if answer.is_success else self._time_that_helps(answer, offset)
        second = None if server_time is None else self._proposed(server_time)
        if second is None:
            return signed
        _, signed = yield from self._attempt(method, target, body, second)
        return signed

    def _attempt(
        self, method: str, target: str, body: bytes, offset: float
    ) -> Generator[dict[str, str], Answer, tuple[Answer, bool]]:
        """If the answer has a signature, it must be valid, for any status; a success must have one."""
        nonce = new_nonce()
        created = int(self._clock() + offset)
        answer = yield sign_request(self.credentials, method, target, body, nonce=nonce, created=created)
        if not answer.is_success and not is_signed(answer.fields):
            return answer, False
        server_time = verify_answer(self.credentials, answer, nonce)
        with self._lock:
            self._offsets = _ClockOffsets(confirmed=offset)
            self._proved = (server_time, time.monotonic())
        return answer, True

    def _time_that_helps(self, answer: Answer, offset: float) -> float | None:
        """The registry's time, if it refused the request because of ours."""
        problem = answer.failure()
        if not isinstance(problem, ClockSkew | Unavailable) or problem.server_time is None:
            return None
        server_time = problem.server_time.timestamp()
        if isinstance(problem, Unavailable) and abs(server_time - self._clock() - offset) <= _UNIMPORTANT_SECONDS:
            return None
        return server_time

    def _proposed(self, server_time: float) -> float | None:
        """The offset to sign the request with once more; None if the time is too far from ours.

        The answer with the time is not signed, because the registry sent it before it looked up any key. An attacker on
        the network could have made it with a future time, hold back the request that is signed with it, and send it at
        that time. TLS prevents this; without TLS, the attacker gains one poll or acknowledgement, a repetition of what
        the device sent anyway. Therefore only one such time is used until a signed answer shows which time the registry
        accepts.
        """
        with self._lock:
            if self._offsets.proposed is None:
                offset = server_time - self._clock()
                if abs(offset) > _MAXIMUM_CORRECTION_SECONDS:
                    return None
                self._offsets.proposed = offset
            return self._offsets.proposed
