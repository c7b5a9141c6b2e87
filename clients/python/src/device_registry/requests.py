"""A device's signatures for the library requests: `pip install 'device-registry-client[requests]'`.

import requests
from device_registry import Credentials
from device_registry.requests import DeviceAuth

auth = DeviceAuth(Credentials.from_file("ea.key"))
requests.get("https://registry.example.com/api/v1/device", auth=auth, timeout=15)
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from urllib.parse import urlsplit

import requests
import requests.auth

from ._credentials import Credentials
from ._errors import AnswerTooLarge, InvalidArgument, Redirected, UnexpectedAnswer
from ._messages import MAXIMUM_ANSWER_BYTES, Answer
from ._origin import is_loopback
from ._signing import SignedExchange

_PIECE_BYTES = 64 * 1024


class DeviceAuth(requests.auth.AuthBase):
    """Signs requests with a device's secret, and verifies the answers. Repeats a request once if the registry says that the
    device's clock is wrong.

    A 2xx answer that the registry did not sign raises `ForgedAnswer`; so does any answer with a signature that is wrong.
    Other refusals are ordinary responses. A redirect raises `Redirected`. Requests to another machine need https, unless
    `allow_insecure_http`. The body of a request must be bytes or text. One object may serve several sessions and threads.
    """

    def __init__(self, credentials: Credentials, *, allow_insecure_http: bool = False) -> None:
        self._exchange = SignedExchange(credentials)
        self._allow_insecure_http = allow_insecure_http

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        url = urlsplit(request.url or "")
        if url.scheme != "https" and not self._allow_insecure_http and not is_loopback(url.hostname or ""):
            raise InvalidArgument("plain HTTP is only allowed to this machine; use https, or allow_insecure_http=True")
        body = request.body or b""
        if not isinstance(body, bytes | str):
            raise InvalidArgument("the body must be bytes or text, because its digest is signed before it is sent")
        # The signature covers the body before any coding.
        request.headers["Accept-Encoding"] = "identity"
        attempts = self._exchange.attempts(
            request.method or "GET", request.path_url, body.encode() if isinstance(body, str) else body
        )
        request.headers.update(next(attempts))

        def verify(response: requests.Response, *_: Any, **options: Any) -> requests.Response:
            return self._verified(response, attempts, options)

        request.register_hook("response", verify)  # type: ignore[no-untyped-call]
        return request

    def _verified(
        self, response: requests.Response, attempts: Generator[dict[str, str], Answer, bool], options: dict[str, Any]
    ) -> requests.Response:
        while True:
            # Before requests follows it: the signature would be sent elsewhere.
            if response.is_redirect:
                response.close()
                raise Redirected(response.status_code)
            try:
                fields = attempts.send(_answer(response))
            except StopIteration:
                return response
            finally:
                # The content was read; an error leaves no connection behind.
                response.close()
            again = response.request.copy()
            again.headers.update(fields)
            second: requests.Response = response.connection.send(again, **options)
            second.history.append(response)
            second.request = again
            response = second


def _answer(response: requests.Response) -> Answer:
    """Reads the body, up to the limit."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnexpectedAnswer(response.status_code)
    body = b""
    for piece in response.iter_content(_PIECE_BYTES):
        body += piece
        if len(body) > MAXIMUM_ANSWER_BYTES:
            raise AnswerTooLarge(f"the answer has more than {MAXIMUM_ANSWER_BYTES} bytes and is ignored")
    # So that `response.content` returns it: requests has no other way to limit what it reads.
    response._content = body
    return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)
