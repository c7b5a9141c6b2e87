"""The scheme: the project's vectors, and an independent implementation of RFC 9421."""

from __future__ import annotations

import base64
import datetime
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import http_message_signatures as hms
import pytest
import requests

from device_registry import Credentials, ForgedAnswer
from device_registry._messages import Answer
from device_registry._signing import request_proof, sign_request, verify_answer

VECTORS = Path(__file__).resolve().parents[3] / "Tests/RequestSignatureTests/request-signatures.json"
CASES = json.loads(VECTORS.read_text())["cases"]
OTHERS = {
    "the authority covered too, another order",
    "the target URI covered too",
    "a header field covered, inner spaces kept",
    "another label, a tag, an expiry",
}
"""Requests that are valid, and that this library signs in another form."""
OURS = [case for case in CASES if case["name"] not in OTHERS]


def credentials_of(case: Any) -> Credentials:
    return Credentials(case["request"]["device_id"], case["secret"])


def target_of(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + ("?" + parts.query if "?" in url else "")


def answer_of(case: Any, **changes: Any) -> Answer:
    response = case["response"]
    return Answer(**{"status": response["status"], "fields": response["headers"], "body": response["body"].encode(), **changes})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_keys_and_proofs_are_those_of_the_vectors(case: Any) -> None:
    keys = credentials_of(case).keys
    assert keys.client_key.hex() == case["client_key"]
    assert keys.stored_key.hex() == case["stored_key"]
    assert keys.server_key.hex() == case["server_key"]
    proof = base64.b64encode(request_proof(keys, case["request"]["signature_base"].encode())).decode()
    assert case["request"]["headers"]["signature"].endswith(f"=:{proof}:")


@pytest.mark.parametrize("case", OURS, ids=lambda case: case["name"])
def test_a_request_is_signed_as_in_the_vectors(case: Any) -> None:
    request = case["request"]
    fields = sign_request(
        credentials_of(case),
        request["method"],
        target_of(request["url"]),
        (request["body"] or "").encode(),
        nonce=request["nonce"],
        created=request["created"],
    )
    assert {name.lower(): value for name, value in fields.items()} == {
        name: value for name, value in request["headers"].items() if name != "content-type"
    }


class Proof(hms.HTTPSignatureAlgorithm):
    """Only keeps the signature base."""

    algorithm_id = "proof"
    bases: list[bytes] = []

    def __init__(self, public_key: Any = None, private_key: Any = None) -> None:
        pass

    def sign(self, message: bytes) -> bytes:
        self.bases.append(message)
        return b"proof"

    def verify(self, signature: bytes, message: bytes) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("body", [b"", b"{}", '{"error":"mère 日本"}'.encode()])
@pytest.mark.parametrize("target", ["/api/v1/device", "/api/v1/device/poll?wait=5&max=1", "/a%20b?x=%2F&y="])
def test_another_implementation_of_rfc_9421_makes_the_same_base(target: str, body: bytes) -> None:
    credentials = Credentials("a1331942-bd19-4a21-8e6d-23b39e2c5a0c", "ab" * 32)
    method = "POST" if body else "GET"
    fields = sign_request(credentials, method, target, body, nonce="nonce-nonce", created=1893456000)
    request = requests.Request(method, "http://localhost" + target, data=body or None).prepare()
    covered = ["@method", "@path", *(["@query"] if "?" in target else []), *(["content-digest"] if body else [])]
    resolver = hms.MappingKeyResolver(public_keys={}, private_keys={credentials.id: b""})
    hms.HTTPMessageSigner(signature_algorithm=Proof, key_resolver=resolver).sign(
        request,
        key_id=credentials.id,
        nonce="nonce-nonce",
        created=datetime.datetime.fromtimestamp(1893456000, datetime.timezone.utc),
        label="sig1",
        include_alg=False,
        covered_component_ids=tuple(covered),
        body=body or None,
    )
    proof = base64.b64encode(request_proof(credentials.keys, Proof.bases[-1])).decode()
    assert fields["Signature"] == f"sig1=:{proof}:"
    assert fields["Signature-Input"] == request.headers["Signature-Input"]
    assert fields.get("Content-Digest") == request.headers.get("Content-Digest")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_answers_of_the_vectors_verify(case: Any) -> None:
    verify_answer(credentials_of(case), answer_of(case), case["request"]["nonce"])


def test_a_signature_beside_others_and_one_that_covers_more_verify() -> None:
    case = CASES[0]
    fields = dict(case["response"]["headers"])
    fields["signature-input"] = f'proxy=("@status");keyid="proxy", {fields["signature-input"]}'
    fields["signature"] = f"proxy=:AAAA:,  {fields['signature']}"
    verify_answer(credentials_of(case), answer_of(case, fields=fields), case["request"]["nonce"])


def forgeries() -> list[tuple[str, dict[str, Any]]]:
    fields = CASES[0]["response"]["headers"]
    given = fields["signature-input"]
    inputs = {
        "another device": given.replace("a1331942", "b1331942"),
        "no keyid": given.replace(f';keyid="{CASES[0]["request"]["device_id"]}"', ""),
        "no nonce": given.replace(f';nonce="{CASES[0]["request"]["nonce"]}"', ""),
        "no created": given.replace(";created=1893456001", ""),
        "created is text": given.replace("created=1893456001", 'created="1893456001"'),
        "covers no status": given.replace('"@status" ', ""),
        "covers no body": given.replace(' "content-digest"', ""),
        "covers nothing": given.replace('"@status" "content-digest"', ""),
        "covers twice": given.replace('"@status"', '"@status" "@status"'),
        "covers what is not there": given.replace('"@status"', '"@status" "x-other"'),
        "covers a part of the request": given.replace('"@status"', '"@status" "@method";req'),
        "another time": given.replace("1893456001", "1893456002"),
        "twice": f"{given}, {given}",
        "malformed": given + ";",
        "a comma too many": given + ",",
        "empty": "",
        "very long": given + ", x=()" * 10_000,
    }
    changed: list[tuple[str, dict[str, Any]]] = [
        (name, {"fields": {**fields, "signature-input": value}}) for name, value in inputs.items()
    ]
    signatures = {
        "of another label": fields["signature"].replace("sig=", "gis="),
        "not base64": "sig=:*:",
        "base64 without padding": fields["signature"].replace("=:", ":", 2).replace("sig:", "sig=:"),
        "too short": "sig=:AAAA:",
        "empty signature": "",
        "wrong": "sig=:" + base64.b64encode(bytes(32)).decode() + ":",
    }
    changed += [(name, {"fields": {**fields, "signature": value}}) for name, value in signatures.items()]
    changed += [(f"no {name}", {"fields": {n: v for n, v in fields.items() if n != name}}) for name in fields]
    changed += [
        ("another status", {"status": 201}),
        ("another body", {"body": b"{}"}),
        ("a digest of another algorithm", {"fields": {**fields, "content-digest": "md5=:AAAA:"}}),
        ("not signed", {"fields": {"content-digest": fields["content-digest"]}}),
    ]
    return changed


@pytest.mark.parametrize(("name", "changes"), forgeries(), ids=[name for name, _ in forgeries()])
def test_any_other_answer_is_refused(name: str, changes: dict[str, Any]) -> None:
    case = CASES[0]
    with pytest.raises(ForgedAnswer):
        verify_answer(credentials_of(case), answer_of(case, **changes), case["request"]["nonce"])


def test_no_character_of_an_answer_can_be_changed() -> None:
    case = CASES[1]
    credentials, nonce = credentials_of(case), case["request"]["nonce"]
    fields, body = case["response"]["headers"], case["response"]["body"]
    for name, text in [*fields.items(), ("", body)]:
        for position in range(len(text)):
            for character in 'a0Z/"=; ,:' + chr(ord(text[position]) ^ 1):
                if character == text[position]:
                    continue
                changed = text[:position] + character + text[position + 1 :]
                changes = {"fields": {**fields, name: changed}} if name else {"body": changed.encode()}
                with pytest.raises(ForgedAnswer):
                    verify_answer(credentials, answer_of(case, **changes), nonce)


def test_an_answer_to_another_request_is_refused() -> None:
    with pytest.raises(ForgedAnswer, match="another request"):
        verify_answer(credentials_of(CASES[0]), answer_of(CASES[0]), "another-nonce")
