"""Reading JSON values as dataclasses: the annotations of the fields are the only description of an answer's form."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ._errors import MalformedAnswer, time_or_none

T = TypeVar("T")
_Reader = Callable[[Any, str], Any]


def read(kind: type[T], value: object, place: str = "") -> T:
    """A JSON value as a dataclass. Unknown members are ignored; a missing one has its default, if there is one. Raises
    `MalformedAnswer`, which names only the place: the value may be a secret."""
    return cast(T, _reader(cast(Any, kind))(value, place))


def read_list(kind: type[T], value: object) -> tuple[T, ...]:
    """A JSON array as dataclasses. Raises `MalformedAnswer`."""
    return cast("tuple[T, ...]", _tuple(_reader(cast(Any, kind)))(value, ""))


def _refuse(place: str) -> MalformedAnswer:
    return MalformedAnswer(f"the answer is not what the registry sends: {place or 'the body'} is missing or has the wrong type")


def _scalar(kind: type) -> _Reader:
    def convert(value: Any, place: str) -> Any:
        # True is an int in Python.
        if type(value) is not kind:
            raise _refuse(place)
        return value

    return convert


def _number(value: Any, place: str) -> float:
    if type(value) not in (int, float):
        raise _refuse(place)
    return float(value)


def _time(value: Any, place: str) -> datetime:
    time = time_or_none(value) if isinstance(value, str) else None
    if time is None:
        raise _refuse(place)
    return time


def _tuple(element: _Reader) -> _Reader:
    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, list):
            raise _refuse(place)
        return tuple(element(item, f"{place}[{index}]") for index, item in enumerate(value))

    return convert


def _mapping(element: _Reader) -> _Reader:
    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise _refuse(place)
        return {name: element(item, f"{place}.{name}") for name, item in value.items()}

    return convert


def _optional(element: _Reader) -> _Reader:
    return lambda value, place: None if value is None else element(value, place)


def _dataclass(kind: type) -> _Reader:
    hints = get_type_hints(kind)
    members = []
    for field in dataclasses.fields(kind):
        is_required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        # `from_` is the member `from`, which is a word of Python.
        members.append((field.name, field.name.removesuffix("_"), _reader(hints[field.name]), is_required))

    def convert(value: Any, place: str) -> Any:
        if not isinstance(value, dict):
            raise _refuse(place)
        values = {}
        for field_name, name, reader, is_required in members:
            inner = f"{place}.{name}" if place else name
            if name in value:
                values[field_name] = reader(value[name], inner)
            elif is_required:
                raise _refuse(inner)
        return kind(**values)

    return convert


@functools.cache
def _reader(hint: Any) -> _Reader:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return lambda value, place: value
    if hint in (str, int, bool):
        return _scalar(hint)
    if hint is float:
        return _number
    if hint is datetime:
        return _time
    if origin in (types.UnionType, Union) and type(None) in arguments:
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return _optional(_reader(inner))
    if origin is tuple and arguments[1:] == (...,):
        return _tuple(_reader(arguments[0]))
    if origin in (dict, Mapping):
        return _mapping(_reader(arguments[1]))
    if dataclasses.is_dataclass(hint):
        return _dataclass(cast(type, hint))
    raise TypeError(f"no reader for {hint}")
