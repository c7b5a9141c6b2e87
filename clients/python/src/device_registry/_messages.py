"""Requests and answers, apart from how they are sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from ._errors import (
    FieldError,
    InvalidArgument,
    MalformedAnswer,
    Problem,
    ProblemDetails,
    Redirected,
    RegistryError,
    UnexpectedAnswer,
)

TIMEOUT_SECONDS = 15.0
"""Time limit of an answer that the registry does not delay."""
MAXIMUM_ANSWER_BYTES = 16 * 1024 * 1024
"""Above the longest answer of the registry."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request without signature and token."""

    method: str
    target: str
    """Path and query, in characters that no URL library rewrites: the URL that is signed must be the URL that is
    sent."""
    body: bytes | None = None
    timeout_seconds: float = TIMEOUT_SECONDS
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer."""

    status: int
    fields: Mapping[str, str]
    """By name in lower case; the values of a repeated field are joined by a comma (RFC 9110, section 5.3)."""
    body: bytes
    is_signed: bool = False
    """Whether the registry's signature was verified."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def media_type(self) -> str:
        """Without its parameters, in lower case."""
        return self.fields.get("content-type", "").split(";")[0].strip().lower()

    @property
    def retry_after_seconds(self) -> int | None:
        """A date, which the registry does not send, is ignored."""
        text = self.fields.get("retry-after", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None

    def json(self) -> Any:
        """The body as a value. Raises `MalformedAnswer`."""
        return json_value(self.body)

    def failure(self) -> RegistryError:
        """Why the answer is not a success."""
        if 300 <= self.status < 400:
            return Redirected(self.status)
        details = self._problem_details()
        return UnexpectedAnswer(self.status, self.retry_after_seconds) if details is None else Problem.of(details)

    def _problem_details(self) -> ProblemDetails | None:
        """RFC 9457, section 3.1: every member may be missing, and one of the wrong type counts as missing."""
        if self.media_type != "application/problem+json":
            return None
        try:
            members = self.json()
        except MalformedAnswer:
            return None
        if not isinstance(members, dict):
            return None

        def text(name: str, default: str) -> str:
            value = members.get(name)
            return value if isinstance(value, str) else default

        return ProblemDetails(
            type=text("type", "about:blank"),
            title=text("title", ""),
            status=self.status,
            detail=text("detail", ""),
            request_id=text("request_id", self.fields.get("x-request-id", "")) or None,
            errors=_field_errors(members.get("errors")),
            retry_after_seconds=self.retry_after_seconds,
            is_signed=self.is_signed,
            members=members,
        )


def _field_errors(value: object) -> tuple[FieldError, ...]:
    return tuple(
        FieldError(error["field"], error["message"])
        for error in (value if isinstance(value, list) else [])
        if isinstance(error, dict) and isinstance(error.get("field"), str) and isinstance(error.get("message"), str)
    )


def json_value(body: bytes) -> Any:
    """A JSON text (RFC 8259) in UTF-8 as a value. Refuses what Python's reader allows in addition: NaN, repeated members.
    Raises `MalformedAnswer`."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) != len(pairs):
            raise ValueError("repeated member")
        return value

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    try:
        return json.loads(body.decode(), object_pairs_hook=members, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise MalformedAnswer("the answer is not JSON") from None


def json_body(value: object, name: str) -> bytes:
    """A value as a JSON text. Raises `InvalidArgument` if it cannot be written, for example NaN."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"{name} cannot be written as JSON: {error}") from None


def query(path: str, **parameters: str | int | None) -> str:
    """A path with the parameters that are not None."""
    pairs = [f"{name}={quote(str(value), safe='')}" for name, value in parameters.items() if value is not None]
    return path + ("?" + "&".join(pairs) if pairs else "")
