"""`DeviceAuth` in clients of httpx and requests that belong to the user."""

from __future__ import annotations

import time
from collections.abc import Iterator

import anyio
import httpx
import pytest
import requests
from registry import Proxy, ProxyAnswer

from device_registry import (
    AnswerTooLarge,
    Credentials,
    DeviceAuth,
    ForgedAnswer,
    InvalidArgument,
    OwnerClient,
    Redirected,
    UnexpectedAnswer,
)
from device_registry._messages import MAXIMUM_ANSWER_BYTES
from device_registry.requests import DeviceAuth as RequestsAuth

POLL = "/api/v1/device/poll?wait=0&max=5"
ACK = "/api/v1/device/ack"


@pytest.fixture
def http(proxy: Proxy, credentials: Credentials) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.url, auth=DeviceAuth(credentials)) as http:
        yield http


@pytest.fixture
def session(credentials: Credentials) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.auth = RequestsAuth(credentials)
        yield session


def test_httpx(http: httpx.Client, owner: OwnerClient) -> None:
    sent = owner.send({"a": 1}, all=True)
    assert http.get(POLL).json()["signals"][0]["id"] == sent.id
    answer = http.post(ACK, json={"acks": [{"signal_id": sent.id, "status": "placed"}]})
    assert answer.json()["acked"] == [sent.id]
    refused = http.get("/api/v1/device/poll?wait=99")
    assert refused.status_code == 400
    assert refused.extensions["device_registry.signed"] is True
    with http.stream("GET", POLL) as streamed:
        assert streamed.read()


def test_asynchronous_httpx(proxy: Proxy, credentials: Credentials) -> None:
    async def main() -> None:
        auth = DeviceAuth(credentials)
        auth.exchange._clock = lambda: time.time() - 3600
        async with httpx.AsyncClient(base_url=proxy.url, auth=auth) as http:
            answers = []
            for _ in range(2):
                answers.append(await http.post(ACK, json={"acks": []}))
            assert [answer.status_code for answer in answers] == [200, 200]
            assert len(proxy.requests) == 3

    anyio.run(main)


def test_requests(session: requests.Session, proxy: Proxy, owner: OwnerClient) -> None:
    sent = owner.send({"a": 1}, all=True)
    assert session.get(proxy.url + POLL, timeout=15).json()["signals"][0]["id"] == sent.id
    answer = session.post(proxy.url + ACK, json={"acks": [{"signal_id": sent.id, "status": "placed"}]}, timeout=15)
    assert answer.json()["acked"] == [sent.id]
    assert session.post(proxy.url + ACK, data='{"acks": []}', headers={"Content-Type": "application/json"}, timeout=15).ok
    assert session.get(proxy.url + "/api/v1/device/poll?wait=99", timeout=15).status_code == 400
    with pytest.raises(InvalidArgument):
        session.post(proxy.url + ACK, data=iter([b"{}"]), timeout=15)


def test_requests_with_a_wrong_clock(session: requests.Session, proxy: Proxy) -> None:
    auth = session.auth
    assert isinstance(auth, RequestsAuth)
    auth._exchange._clock = lambda: time.time() + 3600
    answer = session.get(proxy.url + POLL, timeout=15)
    assert answer.status_code == 200
    assert [earlier.status_code for earlier in answer.history] == [401]
    assert session.get(proxy.url + POLL, timeout=15).ok
    assert len(proxy.requests) == 3


BAD = [
    (ProxyAnswer(200, {"Content-Type": "text/html"}, b"<html>"), ForgedAnswer),
    (ProxyAnswer(302, {"Location": "/api/v1/device"}, b""), Redirected),
    (ProxyAnswer(200, {"Content-Encoding": "gzip"}, b""), UnexpectedAnswer),
    (ProxyAnswer(500, {}, b" " * (MAXIMUM_ANSWER_BYTES + 1)), AnswerTooLarge),
]


@pytest.mark.parametrize(("bad", "error"), BAD, ids=[error.__name__ for _, error in BAD])
def test_bad_answers(
    http: httpx.Client, session: requests.Session, proxy: Proxy, bad: ProxyAnswer, error: type[Exception]
) -> None:
    proxy.change = lambda _: bad
    with pytest.raises(error):
        http.get(POLL)
    with pytest.raises(error):
        session.get(proxy.url + POLL, timeout=15)
    assert len(proxy.requests) == 2


def test_a_redirect_that_httpx_followed_is_refused(http: httpx.Client, proxy: Proxy) -> None:
    redirect = ProxyAnswer(302, {"Location": "/api/v1/device"}, b"")
    proxy.change = lambda answer: redirect if len(proxy.requests) == 1 else answer
    with pytest.raises(Redirected):
        http.get(POLL, follow_redirects=True)


def test_plain_http_to_other_machines_is_refused(credentials: Credentials) -> None:
    with pytest.raises(InvalidArgument):
        httpx.get("http://192.0.2.1/", auth=DeviceAuth(credentials))
    with pytest.raises(InvalidArgument):
        requests.get("http://192.0.2.1/", auth=RequestsAuth(credentials), timeout=1)
