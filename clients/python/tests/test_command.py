"""`python -m device_registry`, as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from registry import Registry

from device_registry import OwnerClient

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command(registry: Registry, token: str, tmp_path: Path) -> Command:
    token_file = tmp_path / "token"
    token_file.touch(0o600)
    token_file.write_text(token)
    environment = {
        **os.environ,
        "DEVICE_REGISTRY_URL": registry.url,
        "DEVICE_REGISTRY_TOKEN_FILE": str(token_file),
        "PYTHONWARNINGS": "error",
    }

    def run(*arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "device_registry", *arguments],
            env=environment,
            cwd=tmp_path,
            text=True,
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def values(done: subprocess.CompletedProcess[str]) -> list[Any]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_day_at_the_command_line(command: Command, tmp_path: Path) -> None:
    (registered,) = values(command("owner", "register", "EA", "--save", "ea.key"))
    secret = (tmp_path / "ea.key").read_text().split()[1]
    assert "secret" not in registered
    (device,) = values(command("whoami", "--key-file", "ea.key"))
    assert device["id"] == registered["id"]
    assert device["created_at"] == registered["created_at"]
    (sent,) = values(command("owner", "send", '{"symbol": "EURUSD"}', "--all", "--ttl-seconds", "60"))
    (polled,) = values(command("poll", "--key-file", "ea.key", "--wait", "5", "--max", "1"))
    assert polled["signals"][0]["payload"] == {"symbol": "EURUSD"}
    (acked,) = values(command("ack", "--key-file", "ea.key", sent["id"], "--status", "placed", "--broker-ticket", "42"))
    assert (acked["acked"], acked["unknown"]) == ([sent["id"]], [])
    (shown,) = values(command("owner", "signal", sent["id"]))
    assert shown["deliveries"][0]["broker_ticket"] == "42"
    assert [line["id"] for line in values(command("owner", "signals"))] == [sent["id"]]
    (renamed,) = values(command("owner", "rename", registered["id"], "EA-London"))
    assert renamed["device_name"] == "EA-London"
    command("owner", "rotate", registered["id"], "--save", "new.key", "--grace-seconds", "0")
    assert (tmp_path / "new.key").read_text().split()[1] != secret
    command("whoami", "--key-file", "ea.key", status=1)
    command("owner", "revoke", registered["id"], "--reason", "sold")
    assert values(command("owner", "device", registered["id"]))[0]["status"] == "revoked"
    assert len(values(command("owner", "devices"))) == 1
    events = values(command("owner", "events", "--types", "device.*"))
    # That it is online is recorded when its presence is written.
    types = [event["type"] for event in events if event["type"] != "device.online"]
    assert types == ["device.registered", "device.updated", "device.secret_rotated", "device.revoked"]


def test_a_terminal_enrols(command: Command, tmp_path: Path) -> None:
    one, two = values(command("owner", "create-codes", "--count", "2", "--expires-in", "60"))
    (enrolled,) = values(command("enrol", one["code"], "--save", "ea.key", "--name", "EA-Rome"))
    assert "secret" not in enrolled
    assert values(command("whoami", "--key-file", "ea.key"))[0]["device_name"] == "EA-Rome"
    command("enrol", one["code"], "--save", "another.key", status=1)
    command("enrol", two["code"], "--save", "ea.key", status=2)
    (moving,) = values(command("owner", "create-codes", "--device", enrolled["id"]))
    assert values(command("enrol", moving["code"], "--save", "moved.key"))[0]["id"] == enrolled["id"]
    command("owner", "delete-enrolment", two["id"])
    assert [line["status"] for line in values(command("owner", "enrolments"))] == ["used", "used"]


def test_trading_is_halted_at_the_command_line(command: Command) -> None:
    command("owner", "register", "EA", "--save", "ea.key")
    (preview,) = values(command("owner", "mode", "halted", "--all", "--dry-run"))
    assert (preview["matched"], preview["dry_run"]) == (1, True)
    (sent,) = values(command("owner", "send", "{}", "--all"))
    (result,) = values(command("owner", "mode", "halted", "--all", "--reason", "news", "--cancel-signals", "--expect", "1"))
    assert result["changed"] == 1
    (polled,) = values(command("poll", "--key-file", "ea.key"))
    assert (polled["trading_mode"]["mode"], polled["cancelled"]) == ("halted", [sent["id"]])
    (cancelled,) = values(command("owner", "cancel", sent["id"]))
    assert cancelled["too_late"] == 0
    assert "expectation-failed" in command("owner", "mode", "normal", "--all", "--expect", "7", status=1).stderr
    assert "KEY=VALUE" in command("owner", "send", "{}", "--label", "x", status=2).stderr


def test_a_device_is_suspended_at_the_command_line(command: Command) -> None:
    (device,) = values(command("owner", "register", "EA", "--save", "ea.key"))
    until = "2036-01-01T00:00:00.000Z"
    (suspended,) = values(command("owner", "suspend", device["id"], "--until", until, "--reason", "unpaid"))
    assert (suspended["status"], suspended["suspended_until"]) == ("suspended", until)
    assert "device-suspended" in command("whoami", "--key-file", "ea.key", status=1).stderr
    (resumed,) = values(command("owner", "resume", device["id"]))
    assert resumed["status"] == "active"
    assert "2026-12-01" in command("owner", "suspend", device["id"], "--until", "tomorrow", status=2).stderr
    command("owner", "delete", device["id"], status=1)


def test_errors_say_what_to_do(command: Command, tmp_path: Path) -> None:
    (tmp_path / "exists").touch()
    done = command("owner", "register", "EA", "--save", "exists", status=2)
    assert "exists" in done.stderr
    assert values(command("owner", "devices")) == []
    assert "JSON object" in command("owner", "send", "[]", "--all", status=2).stderr
    assert "--key-file" in command("poll", status=2).stderr
    assert "token-file" in command("owner", "--token-file", "", "devices", status=2).stderr
    assert "UUID" in command("owner", "device", "x", status=2).stderr
    assert "reach" in command("owner", "--url", "http://127.0.0.1:1", "devices", status=1).stderr
    for arguments in [(), ("nothing",), ("owner",), ("owner", "send", "{}")]:
        command(*arguments, status=2)


@pytest.mark.parametrize(
    "arguments", [(), ("poll",), ("ack",), ("owner",), ("owner", "send"), ("owner", "events")], ids=" ".join
)
def test_help_helps(command: Command, arguments: tuple[str, ...]) -> None:
    text = command(*arguments, "--help").stdout
    assert "usage: python -m device_registry" in text
    if arguments == ():
        assert "examples:" in text
    assert command("--version").stdout == "0.1.0\n"


@pytest.mark.parametrize("kind", ["follow", "events"])
def test_what_follows_ends_with_a_signal(kind: str, owner: OwnerClient, registry: Registry, token: str, tmp_path: Path) -> None:
    registered = owner.register("EA")
    registered.save(tmp_path / "ea.key")
    sent = owner.send({}, all=True)
    (tmp_path / "token").touch(0o600)
    (tmp_path / "token").write_text(token)
    device = ["follow", "--key-file", "ea.key", "--url", registry.url]
    events = ["owner", "--token-file", "token", "--url", registry.url, "events", "--follow", "--types", "signal.created"]
    process = subprocess.Popen(
        [sys.executable, "-m", "device_registry", *(device if kind == "follow" else events)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = json.loads(process.stdout.readline())
    assert sent.id in (line["id"], line.get("signal_id"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 130
    process.stdout.close()
