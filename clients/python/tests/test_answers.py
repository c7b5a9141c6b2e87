"""Whatever is not the registry's answer raises a typed error and changes nothing."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Opener, always
from registry import Proxy, ProxyAnswer

from device_registry import (
    AnswerTooLarge,
    ClockSkew,
    Credentials,
    DeviceClient,
    ForgedAnswer,
    MalformedAnswer,
    OwnerClient,
    Problem,
    Redirected,
    RegistryError,
    Replayed,
    RetryPolicy,
    SignatureInvalid,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
)
from device_registry._messages import MAXIMUM_ANSWER_BYTES

HTML = ProxyAnswer(200, {"Content-Type": "text/html"}, b"<html>Sign in to the hotel's network</html>")
PROBLEM = {"Content-Type": "application/problem+json"}
OTHER = "01a20a5b-1476-7edc-b467-b5e73ebe5877"
MODE = {"mode": "normal", "version": 1, "reason": None, "since": "2026-11-29T10:00:00.000Z"}
QUICK = RetryPolicy(maximum_attempts=3, first_pause_seconds=0.01)


def with_body(answer: ProxyAnswer) -> ProxyAnswer:
    return ProxyAnswer(answer.status, answer.fields, answer.body.replace(b'"signals":[]', b'"signals":[{}]'))


def without(*names: str) -> Callable[[ProxyAnswer], ProxyAnswer]:
    return lambda answer: ProxyAnswer(
        answer.status, {n: v for n, v in answer.fields.items() if n.lower() not in names}, answer.body
    )


def zipped(answer: ProxyAnswer) -> ProxyAnswer:
    return ProxyAnswer(answer.status, {**answer.fields, "Content-Encoding": "gzip"}, gzip.compress(answer.body))


def problem(status: int, kind: str, **members: Any) -> ProxyAnswer:
    document = {"type": f"https://device-registry.example/problems/{kind}", "status": status, **members}
    return ProxyAnswer(status, PROBLEM, json.dumps(document).encode())


BAD = [
    ("HTML", lambda _: HTML, ForgedAnswer, 1),
    ("a body that was changed", with_body, ForgedAnswer, 1),
    ("no signature", without("signature", "signature-input"), ForgedAnswer, 1),
    ("no digest", without("content-digest"), ForgedAnswer, 1),
    ("half a signature", without("signature"), ForgedAnswer, 1),
    ("another status", lambda answer: ProxyAnswer(201, answer.fields, answer.body), ForgedAnswer, 1),
    ("a signed body with the status of a refusal", lambda a: ProxyAnswer(403, a.fields, a.body), ForgedAnswer, 1),
    ("gzip", zipped, UnexpectedAnswer, 1),
    ("too long", lambda a: ProxyAnswer(200, a.fields, b" " * (MAXIMUM_ANSWER_BYTES + 1)), AnswerTooLarge, 1),
    ("a redirect", lambda _: ProxyAnswer(307, {"Location": "https://example.invalid/"}, b""), Redirected, 1),
    ("HTML with 404", lambda _: ProxyAnswer(404, HTML.fields, HTML.body), UnexpectedAnswer, 1),
    ("HTML with 520", lambda _: ProxyAnswer(520, HTML.fields, HTML.body), UnexpectedAnswer, 1),
    ("a problem that is not JSON", lambda _: ProxyAnswer(401, PROBLEM, b"\xff{"), UnexpectedAnswer, 1),
    ("a problem that is a list", lambda _: ProxyAnswer(401, PROBLEM, b"[]"), UnexpectedAnswer, 1),
    ("a very deep problem", lambda _: ProxyAnswer(401, PROBLEM, b"[" * 100_000), UnexpectedAnswer, 1),
    ("an unknown problem", lambda _: problem(418, "teapot"), Problem, 1),
    ("a forged refusal", lambda _: problem(401, "signature-invalid"), SignatureInvalid, 1),
    ("a forged skew without time", lambda _: problem(401, "clock-skew"), ClockSkew, 1),
    ("a skew with a bad time", lambda _: problem(401, "clock-skew", server_time="now"), ClockSkew, 1),
    ("a skew of a year", lambda _: problem(401, "clock-skew", server_time="2030-01-01T00:00:00.000Z"), ClockSkew, 1),
    ("no answer", lambda _: None, Unreachable, 3),
    ("HTML with 502", lambda _: ProxyAnswer(502, HTML.fields, HTML.body), UnexpectedAnswer, 3),
    ("a replay", lambda _: problem(401, "replayed"), Replayed, 3),
]


@pytest.mark.parametrize(("change", "error", "attempts"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_answer_raises_its_error(
    credentials: Credentials,
    proxy: Proxy,
    open_device: Opener,
    change: Callable[[ProxyAnswer], ProxyAnswer | None],
    error: type[RegistryError],
    attempts: int,
) -> None:
    device = open_device(proxy.url, credentials, retries=QUICK)
    proxy.change = change
    with pytest.raises(error) as caught:
        device.poll()
    assert type(caught.value) is error
    assert str(caught.value)
    assert len(proxy.requests) == attempts
    # Nothing of it is remembered.
    assert abs(device.now().timestamp() - time.time()) < 5
    proxy.change = lambda answer: answer
    assert device.poll().signals == ()


def test_a_stream_ends_with_a_forged_answer_and_outlives_an_outage(
    owner: OwnerClient, credentials: Credentials, proxy: Proxy
) -> None:
    with DeviceClient(proxy.url, credentials, retries=QUICK) as device:
        answers: Iterator[ProxyAnswer | None] = iter([None, HTML_502, None, HTML_502, None])
        proxy.change = lambda answer: next(answers, answer)
        sent = owner.send({}, all=True)
        assert next(device.signals()).id == sent.id
        proxy.change = lambda _: HTML
        with pytest.raises(ForgedAnswer):
            next(device.signals())


HTML_502 = ProxyAnswer(502, HTML.fields, HTML.body)


def test_only_one_time_is_proposed_until_an_answer_is_signed(credentials: Credentials, proxy: Proxy) -> None:
    """Or an attacker could collect signatures for many times."""
    with DeviceClient(proxy.url, credentials) as device:
        hours = iter(range(1, 24))

        def skewed(_: ProxyAnswer) -> ProxyAnswer:
            later = time.gmtime(time.time() + 3600 * next(hours))
            return problem(401, "clock-skew", server_time=time.strftime("%Y-%m-%dT%H:%M:%S.000Z", later))

        proxy.change = skewed
        for _ in range(3):
            with pytest.raises(ClockSkew):
                device.whoami()
        created = [int(fields["Signature-Input"].split("created=")[1].split(";")[0]) for _, fields in proxy.requests]
        assert len(created) == 6
        assert len({round((time - created[0]) / 60) for time in created}) == 2
        proxy.change = lambda answer: answer
        assert device.whoami().id == device.id


def test_a_signal_that_cannot_be_read_does_not_affect_others() -> None:
    from device_registry._device import _poll_result
    from device_registry._messages import Answer

    good = {"id": "x", "created_at": "2026-11-29T10:00:00.000Z", "expires_at": "2026-11-29T11:00:00Z", "payload": {}}
    signals = [good, {**good, "id": OTHER, "payload": []}, 7, {**good, "id": 7}]
    body = json.dumps(
        {
            "signals": signals,
            "server_time": "2026-11-29T10:00:00.000Z",
            "next_poll_ms": 1,
            "trading_mode": MODE,
            "cancelled": [],
        }
    ).encode()
    result = _poll_result(Answer(200, {"retry-after": "3"}, body))
    assert [signal.id for signal in result.signals] == ["x"]
    assert [signal.id for signal in result.unreadable] == [OTHER, None, None]
    assert result.retry_after_seconds == 3
    for text in [b"{}", b"[]", b"null", b'{"signals":{},"server_time":"2026-11-29T10:00:00.000Z"}', b'{"signals":[]}']:
        with pytest.raises(MalformedAnswer):
            _poll_result(Answer(200, {}, text))


def test_what_an_owner_gets_must_be_json_of_the_expected_form(token: str, proxy: Proxy, open_owner: Opener) -> None:
    owner = open_owner(proxy.url, token, retries=QUICK)
    device = owner.register("EA")
    for body in [b"", b"<html>", b"[]", b"null", b'{"id": 1}', b'{"a":NaN}', b'{"a":1,"a":2}', b"\xff", b"[" * 100_000]:
        proxy.change = always(ProxyAnswer(200, {"Content-Type": "application/json"}, body))
        with pytest.raises(MalformedAnswer):
            owner.device(device.id)
    proxy.change = lambda answer: ProxyAnswer(200, answer.fields, answer.body.replace(b'"secret":"', b'"secret":1,"x":"'))
    with pytest.raises(MalformedAnswer, match="secret is missing") as caught:
        owner.rotate(device.id)
    assert "1" not in str(caught.value)


def test_a_next_link_must_stay_in_the_list(token: str, proxy: Proxy, open_owner: Opener) -> None:
    owner = open_owner(proxy.url, token)
    for link in ["/api/v1/clients?cursor=x", "https://example.invalid/api/v1/devices", "/api/v1/devices?limit=1000"]:
        proxy.change = always(ProxyAnswer(200, {"Link": f'<{link}>; rel="next"'}, b"[]"))
        with pytest.raises(MalformedAnswer, match="Link"):
            list(owner.devices())


def test_creating_without_a_key_is_not_repeated(token: str, proxy: Proxy, open_owner: Opener) -> None:
    owner = open_owner(proxy.url, token, retries=QUICK)
    proxy.change = lambda _: None
    with pytest.raises(Unreachable):
        owner.register("EA")
    assert len(proxy.requests) == 1
    # The registry did it, and the name is taken.
    proxy.change = lambda answer: answer
    with pytest.raises(Problem):
        owner.register("EA")
    proxy.requests.clear()
    proxy.change = lambda answer: None if len(proxy.requests) == 1 else answer
    sent = owner.send({}, all=True, idempotency_key="once")
    assert len(proxy.requests) == 2
    assert [signal.id for signal in owner.signals()] == [sent.id]
    proxy.requests.clear()
    proxy.change = lambda answer: problem(429, "too-many-requests") if len(proxy.requests) < 3 else answer
    owner.send({}, all=True)
    assert len(proxy.requests) == 3


def test_a_problem_cannot_control_a_terminal() -> None:
    from device_registry._messages import Answer

    answer = Answer(400, {"content-type": "application/problem+json"}, json.dumps({"detail": "\x1b[2Jred\x9b"}).encode())
    assert str(answer.failure()) == "400 about:blank:  [2Jred "


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections and then sends a byte of a body now and then."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not ended.wait(0.05):
                try:
                    connection.sendall(b" ")
                except OSError:
                    break
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    ended.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_a_slow_answer_ends_in_time(silent: str, open_owner: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("device_registry._owner_events.TIMEOUT_SECONDS", 0.3)
    owner = open_owner(silent, "token", retries=RetryPolicy.never)
    start = time.monotonic()
    with pytest.raises(TimedOut):
        owner.events()
    assert time.monotonic() - start < 5


def test_nobody_there(open_owner: Opener) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(Unreachable):
        open_owner(f"http://127.0.0.1:{port}", "token", retries=QUICK).events()


def test_pauses_grow_and_are_bounded() -> None:
    policy = RetryPolicy()
    for failures, longest in [(1, 0.25), (2, 0.5), (5, 4), (8, 30), (10_000, 30)]:
        pauses = [policy.pause_seconds(failures) for _ in range(50)]
        assert all(longest / 2 <= pause <= longest for pause in pauses)
        assert len(set(pauses)) > 1
    assert 120 <= policy.pause_seconds(1, 10**9) <= 120.25
    assert policy.pause_seconds(1, -5) <= 0.25
