"""The steps of an operation, apart from how they are taken: an operation is a generator that yields what is to be done and
is sent the result. So each operation is written once for blocking and asynchronous clients."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from ._messages import Call

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Send a request once. The result is the answer, of any status; errors are raised in the generator."""

    call: Call


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait. The result is None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Item(Generic[T_co]):
    """Give the caller the next element of a stream. The result is None."""

    value: T_co


Steps: TypeAlias = Generator[Exchange | Pause, Any, T]
"""An operation; its return value is the operation's result."""
StreamSteps: TypeAlias = Generator[Exchange | Pause | Item[T], Any, None]
"""A sequence of elements, which may be without end."""
