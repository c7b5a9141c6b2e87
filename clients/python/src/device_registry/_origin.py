"""The registry's URL."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from ._errors import InvalidArgument


def origin(url: str, *, allow_insecure_http: bool) -> tuple[str, bool]:
    """The scheme, host and port of a URL, and whether it is plain HTTP to this machine.

    Raises `InvalidArgument` if there is more in it, and for plain HTTP to another machine: an attacker on the network
    could read tokens and delay a device's requests.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except (ValueError, AttributeError):
        raise InvalidArgument("url must be like https://registry.example.com") from None
    host = parts.hostname or ""
    if not host or parts.scheme not in ("http", "https"):
        raise InvalidArgument("url must be like https://registry.example.com")
    if "@" in parts.netloc or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise InvalidArgument("url must have only a scheme, a host and a port; remove the rest")
    if parts.scheme == "http" and not allow_insecure_http and not is_loopback(host):
        raise InvalidArgument(
            "url: plain HTTP is only allowed to this machine; use https, or allow_insecure_http=True (--insecure-http)"
        )
    authority = f"[{host}]" if ":" in host else host
    if port is not None:
        authority += f":{port}"
    return f"{parts.scheme}://{authority}", parts.scheme == "http" and is_loopback(host)


def is_loopback(host: str) -> bool:
    """Whether a host of a URL is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
