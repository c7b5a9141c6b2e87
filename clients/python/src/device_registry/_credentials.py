"""A device's id and keys, and files with secrets."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import stat
from dataclasses import dataclass
from typing import NoReturn, TypeGuard

from ._errors import InvalidArgument, SecretFileError

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_SECRET = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MAXIMUM_FILE_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys that are derived from a device's secret (RFC 5802, section 3)."""

    client_key: bytes
    stored_key: bytes
    server_key: bytes

    @staticmethod
    def of(secret: str) -> Keys:
        key = secret.encode()
        client_key = hmac.digest(key, b"Client Key", "sha256")
        return Keys(client_key, hashlib.sha256(client_key).digest(), hmac.digest(key, b"Server Key", "sha256"))


class Credentials:
    """A device's id and the keys that authenticate it. The secret itself is not kept, and nothing prints the keys.

        Credentials("01a20a5b-1476-7edc-b467-b5e73ebe5877", secret)
        Credentials.from_file("ea.key")

    Raises `InvalidArgument` if the id or the secret is malformed.
    """

    __slots__ = ("id", "keys")

    def __init__(self, id: str, secret: str) -> None:
        self.id = path_id(id)
        """A UUID in lower case."""
        if not isinstance(secret, str) or not _SECRET.fullmatch(secret):
            raise InvalidArgument("secret must be the 64 characters 0-9 and a-f from the registration")
        self.keys = Keys.of(secret)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], id: str | None = None) -> Credentials:
        """Reads a file that only its owner can read. It contains the id and the secret, as `RegisteredDevice.save` writes
        it; or the registry's answer to the registration, in JSON; or, if `id` is given, the secret alone.

        Raises `SecretFileError` and `InvalidArgument`.
        """
        text = read_secret_file(path, "rotate the secret")
        words = _members(text) if text.lstrip().startswith("{") else text.split()
        if len(words) == 1 and id is not None:
            return cls(id, words[0])
        if len(words) != 2:
            raise SecretFileError(f"cannot use {os.fspath(path)}: it must contain a device's id and its secret")
        if id is not None and words[0] != path_id(id):
            raise SecretFileError(f"cannot use {os.fspath(path)}: its secret is another device's")
        return cls(words[0], words[1])

    def __repr__(self) -> str:
        return f"Credentials({self.id!r}, <redacted>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials cannot be pickled: that would copy the device's keys")


def _members(text: str) -> list[str]:
    try:
        members = json.loads(text)
        return [str(members["id"]), str(members["secret"])]
    except (ValueError, KeyError, TypeError):
        return []


def path_id(id: str) -> str:
    """An id as part of a path. Raises `InvalidArgument` if it is not a UUID, because other text could change the path."""
    lower = id.lower() if isinstance(id, str) else ""
    if not is_uuid(lower):
        raise InvalidArgument("the id must be a UUID, as the registry shows it")
    return lower


def is_uuid(value: object) -> TypeGuard[str]:
    """Whether a value is a UUID in lower case."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def read_secret_file(path: str | os.PathLike[str], if_exposed: str) -> str:
    """The text of a small file that only its owner can read. Raises `SecretFileError`."""
    name = os.fspath(path)
    try:
        with open(name, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            # A pipe, `<(command)` in a shell, is readable only by this process. Windows has no such permissions.
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077 and os.name == "posix":
                raise SecretFileError(
                    f"cannot use {name}: other users can read it: run chmod 600, and {if_exposed} if they did"
                )
            content = b""
            while len(content) <= _MAXIMUM_FILE_BYTES and (piece := file.read(_MAXIMUM_FILE_BYTES)):
                content += piece
    except OSError as error:
        raise SecretFileError(f"cannot read {name}: {error.strerror}") from None
    if len(content) > _MAXIMUM_FILE_BYTES:
        raise SecretFileError(f"cannot use {name}: it has more than {_MAXIMUM_FILE_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise SecretFileError(f"cannot use {name}: it is not text") from None


def write_secret_file(path: str | os.PathLike[str], text: str) -> None:
    """Writes a new file that only its owner can read, to the disk. Raises `SecretFileError`, also if it exists."""
    name = os.fspath(path)
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SecretFileError(f"cannot write {name}: {error.strerror}") from None
