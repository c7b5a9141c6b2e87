"""The command line: `python -m device_registry`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import FrameType
from typing import Any

from ._credentials import Credentials
from ._device import MAXIMUM_SIGNALS, DeviceClient
from ._errors import InvalidArgument, RegistryError, SecretFileError, time_or_none
from ._models import IssuedEnrolment
from ._owner import OwnerClient
from ._owner_calls import Select
from ._version import __version__

_DESCRIPTION = "Calls a device registry: as a device, or as the owner of devices. Prints JSON, a list as one value per line."
_EPILOG = """\
environment:
  DEVICE_REGISTRY_URL         the registry's scheme, host and port
  DEVICE_REGISTRY_KEY_FILE    a device's id and secret, as `owner register --save` writes them
  DEVICE_REGISTRY_TOKEN_FILE  an owner's token

examples:
  python -m device_registry owner --token-file token register EA-London --save ea.key
  python -m device_registry owner --token-file token send '{"symbol": "EURUSD", "side": "buy"}' --all
  python -m device_registry poll --key-file ea.key --wait 20
  python -m device_registry ack --key-file ea.key SIGNAL_ID --status placed --broker-ticket 12345
  python -m device_registry owner --token-file token events --follow

exit status: 0 for success, 1 for a failure, 2 for wrong arguments. `python -m device_registry COMMAND --help` has more.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except (InvalidArgument, SecretFileError) as error:
        return _say(error, 2)
    except RegistryError as error:
        return _say(error, 1)
    except BrokenPipeError:
        # The reader has seen enough. Python would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(error: Exception, status: int) -> int:
    print(f"device_registry: {error}", file=sys.stderr)
    return status


def _print(value: object) -> None:
    print(json.dumps(_plain(value), ensure_ascii=False), flush=True)


def _plain(value: Any) -> Any:
    """A value without dataclasses and secrets."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.repr}
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(element) for element in value]
    return value


# Devices


def _device(options: argparse.Namespace) -> DeviceClient:
    credentials = Credentials.from_file(_needed(options.key_file, "--key-file", "DEVICE_REGISTRY_KEY_FILE"), options.id)
    return DeviceClient(
        options.url, credentials, allow_insecure_http=options.insecure_http, ca_file=options.ca_file
    )  # fmt: skip


def _needed(value: str | None, flag: str, variable: str) -> str:
    if not value:
        raise InvalidArgument(f"{flag} or {variable} is needed")
    return value


def _whoami(options: argparse.Namespace) -> None:
    with _device(options) as device:
        _print(device.whoami())


def _poll(options: argparse.Namespace) -> None:
    with _device(options) as device:
        _print(device.poll(wait=options.wait, max=options.max))


def _ack(options: argparse.Namespace) -> None:
    with _device(options) as device:
        result = device.ack(options.signal_id, options.status, broker_ticket=options.broker_ticket, error=options.error)
        _print(result)


def _enrol(options: argparse.Namespace) -> None:
    _refuse_existing(options.save)
    enrolled = DeviceClient.enrol(
        options.url,
        options.code,
        device_name=options.name,
        allow_insecure_http=options.insecure_http,
        ca_file=options.ca_file,
    )
    enrolled.save(options.save)
    _print(enrolled)


def _follow(options: argparse.Namespace) -> None:
    with _device(options) as device:
        for received in device.signals(on_failure=lambda error: _say(error, 1)):
            _print(received)


# Owners


def _owner(options: argparse.Namespace) -> OwnerClient:
    token_file = _needed(options.token_file, "--token-file", "DEVICE_REGISTRY_TOKEN_FILE")
    return OwnerClient(options.url, token_file=token_file, allow_insecure_http=options.insecure_http, ca_file=options.ca_file)


def _with_owner(action: Callable[[OwnerClient, argparse.Namespace], object]) -> Callable[[argparse.Namespace], None]:
    """A command that prints what its action returns."""

    def run(options: argparse.Namespace) -> None:
        with _owner(options) as owner:
            result = action(owner, options)
            if isinstance(result, Iterable) and not isinstance(result, Mapping):
                for element in result:
                    _print(element)
            elif result is not None:
                _print(result)

    return run


def _register(owner: OwnerClient, options: argparse.Namespace) -> object:
    _refuse_existing(options.save)
    registered = owner.register(options.name)
    registered.save(options.save)
    return registered


def _rotate(owner: OwnerClient, options: argparse.Namespace) -> object:
    _refuse_existing(options.save)
    rotated = owner.rotate(options.device_id, grace_seconds=options.grace_seconds, reason=options.reason)
    rotated.save(options.save)
    return rotated


def _refuse_existing(path: str) -> None:
    """Before the registry shows the secret, which it does only once."""
    if os.path.lexists(path):
        raise SecretFileError(f"cannot write {path}: it exists")


def _send(owner: OwnerClient, options: argparse.Namespace) -> object:
    try:
        payload = json.loads(options.payload)
    except (ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        raise InvalidArgument("the payload must be a JSON object")
    return owner.send(
        payload,
        device_ids=options.device,
        all=options.all,
        group=options.group,
        labels=_labels(options.label),
        ttl_seconds=options.ttl_seconds,
        idempotency_key=options.idempotency_key,
    )


def _labels(pairs: Sequence[str] | None) -> dict[str, str] | None:
    if pairs is None:
        return None
    parts = [pair.partition("=") for pair in pairs]
    if not all(equals for _, equals, _ in parts):
        raise InvalidArgument("a label must be like KEY=VALUE")
    return {key: value for key, _, value in parts}


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    time = time_or_none(text)
    if time is None:
        raise InvalidArgument("a time must be like 2026-12-01T08:00:00Z")
    return time


def _mode(owner: OwnerClient, options: argparse.Namespace) -> object:
    select = Select(device_ids=options.device, all=options.all, group=options.group, labels=_labels(options.label))
    return owner.set_trading_mode(
        select,
        options.mode,
        cancel_signals=options.cancel_signals,
        reason=options.reason,
        expect=options.expect,
        dry_run=options.dry_run,
    )


def _devices(owner: OwnerClient, options: argparse.Namespace) -> object:
    parts = [pair.partition("=") for pair in options.label or []]
    conditions: dict[str, Any] = {
        "status": options.status.split(",") if options.status else None,
        "labels": {key: value if equals else None for key, equals, value in parts},
        "group": options.group,
        "q": options.name,
        "online": options.online,
        "seen_before": _time(options.seen_before),
        "mode_confirmed": options.mode_confirmed,
    }
    if not options.csv:
        return owner.devices(**conditions)
    print(owner.devices_csv(**conditions), end="")
    return None


def _create_codes(owner: OwnerClient, options: argparse.Namespace) -> object:
    issued: Iterable[IssuedEnrolment]
    if options.device:
        issued = [owner.create_device_enrolment(options.device, expires_in=options.expires_in)]
    else:
        issued = owner.create_enrolments(count=options.count, expires_in=options.expires_in, device_name=options.device_name)
    return [{**_plain(enrolment), "code": enrolment.code} for enrolment in issued]


def _events(owner: OwnerClient, options: argparse.Namespace) -> object:
    types = options.types.split(",") if options.types else None
    if not options.follow:
        return _all_events(owner, options, types)
    pages = owner.event_pages(
        after=options.after, types=types, device_id=options.device, on_failure=lambda error: _say(error, 1)
    )
    return (event for page in pages for event in page.events)


def _all_events(owner: OwnerClient, options: argparse.Namespace, types: list[str] | None) -> Iterable[object]:
    after = options.after
    while True:
        page = owner.events(after=after, types=types, device_id=options.device, limit=1000)
        yield from page.events
        if page.next == after:
            return
        after = page.next


# Arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m device_registry",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_device_commands(commands)
    owner = commands.add_parser("owner", help="as the owner of devices", description="Calls the registry as an owner.")
    _add_connection(owner)
    owner.add_argument(
        "--token-file",
        default=os.environ.get("DEVICE_REGISTRY_TOKEN_FILE"),
        help="a file with the owner's token, which only its owner can read (DEVICE_REGISTRY_TOKEN_FILE)",
    )
    _add_owner_commands(owner.add_subparsers(title="commands", required=True, metavar="COMMAND"))
    return parser


_Commands = Any


def _add_connection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        default=os.environ.get("DEVICE_REGISTRY_URL", "http://localhost:8000"),
        help="the registry's scheme, host and port (DEVICE_REGISTRY_URL; default: %(default)s)",
    )
    parser.add_argument("--ca-file", help="PEM certificates to trust instead of the default ones")
    parser.add_argument(
        "--insecure-http",
        action="store_true",
        help="allow plain HTTP to another machine, which others on the network can read",
    )


def _add_device_commands(commands: _Commands) -> None:
    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.set_defaults(run=run)
        _add_connection(command)
        command.add_argument(
            "--key-file",
            default=os.environ.get("DEVICE_REGISTRY_KEY_FILE"),
            help="a file with the device's id and secret, which only its owner can read (DEVICE_REGISTRY_KEY_FILE)",
        )
        command.add_argument("--id", help="the device's id, if the file has only the secret")
        return command

    enrol: argparse.ArgumentParser = commands.add_parser(
        "enrol",
        help="use an owner's code: become a device, and save its secret",
        description="Uses an owner's code, once: this terminal becomes a device, or gets a new secret of the code's device.",
    )
    enrol.set_defaults(run=_enrol)
    _add_connection(enrol)
    enrol.add_argument("code")
    enrol.add_argument("--save", required=True, metavar="FILE", help="a new file for the id and the secret")
    enrol.add_argument("--name", help="the name of the new device (default: the owner's, or one that the registry makes)")
    add("whoami", _whoami, "print the device as the registry knows it")
    poll = add("poll", _poll, "print the signals that are not acknowledged")
    poll.add_argument("--wait", type=int, default=0, help="seconds to wait for a signal, 0 to 30 (default: %(default)s)")
    poll.add_argument("--max", type=int, default=MAXIMUM_SIGNALS, help="signals at most, 1 to 100 (default: %(default)s)")
    add("follow", _follow, "print each signal as it arrives, without end; acknowledges nothing")
    ack = add("ack", _ack, "acknowledge a signal")
    ack.add_argument("signal_id")
    ack.add_argument("--status", required=True, choices=["placed", "failed", "skipped"])
    ack.add_argument("--broker-ticket", help="the broker's number of the order")
    ack.add_argument("--error", help="why the order was not placed")


def _add_selection(command: argparse.ArgumentParser) -> None:
    to = command.add_mutually_exclusive_group(required=True)
    to.add_argument("--all", action="store_true", help="all devices that are not revoked")
    to.add_argument("--group", help="the devices in this group")
    to.add_argument("--label", action="append", metavar="KEY=VALUE", help="the devices with this label; several: with all")
    to.add_argument("--device", action="append", metavar="ID", help="this device; may be given several times")


def _add_owner_commands(commands: _Commands) -> None:
    def add(name: str, action: Callable[[OwnerClient, Any], object], text: str) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        command.set_defaults(run=_with_owner(action))
        return command

    def add_for_device(name: str, action: Callable[[OwnerClient, Any], object], text: str) -> argparse.ArgumentParser:
        command = add(name, action, text)
        command.add_argument("device_id")
        return command

    devices = add("devices", _devices, "print the devices for which all conditions hold, oldest first")
    devices.add_argument("--status", help="states separated by commas: active, suspended, expired, revoked")
    devices.add_argument("--label", action="append", metavar="KEY[=VALUE]", help="with this label; may be given several times")
    devices.add_argument("--group", help="in this group")
    devices.add_argument("--name", metavar="TEXT", help="whose name contains this text")
    devices.add_argument("--online", action=argparse.BooleanOptionalAction, help="that sent a request recently, or did not")
    devices.add_argument("--seen-before", metavar="TIME", help="that sent no request since, like 2026-12-01T08:00:00Z")
    devices.add_argument(
        "--mode-confirmed", action=argparse.BooleanOptionalAction, help="that confirmed their trading mode, or did not"
    )
    devices.add_argument("--csv", action="store_true", help="print CSV")
    add("summary", lambda owner, _: owner.summary(), "print how many devices there are, by status and group")
    add_for_device("device", lambda owner, o: owner.device(o.device_id), "print a device")
    register = add("register", _register, "register a device and save its secret")
    register.add_argument("name")
    register.add_argument("--save", required=True, metavar="FILE", help="a new file for the id and the secret")
    rename = add_for_device("rename", lambda owner, o: owner.update(o.device_id, device_name=o.name), "rename a device")
    rename.add_argument("name")
    revoke = add_for_device(
        "revoke", lambda owner, o: owner.revoke(o.device_id, reason=o.reason), "revoke a device, which is final"
    )
    revoke.add_argument("--reason", help="for the event")
    suspend = add_for_device(
        "suspend",
        lambda owner, o: owner.suspend(o.device_id, reason=o.reason, until=_time(o.until)),
        "refuse a device for a while",
    )
    suspend.add_argument(
        "--until", metavar="TIME", help="when it ends, like 2026-12-01T08:00:00Z (default: when it is resumed)"
    )
    suspend.add_argument("--reason", help="the device is shown it")
    resume = add_for_device("resume", lambda owner, o: owner.resume(o.device_id, reason=o.reason), "end a suspension")
    resume.add_argument("--reason", help="for the event")
    add_for_device("delete", lambda owner, o: owner.delete(o.device_id), "delete a revoked device")
    rotate = add_for_device("rotate", _rotate, "give a device a new secret and save it")
    rotate.add_argument("--save", required=True, metavar="FILE", help="a new file for the id and the secret")
    rotate.add_argument("--grace-seconds", type=int, help="how long the old secret still works (default: a day)")
    rotate.add_argument("--reason", help="for the event")
    codes = add("create-codes", _create_codes, "create codes with which terminals get their devices, and print them once")
    codes.add_argument("--count", type=int, default=1, help="1 to 500 (default: %(default)s)")
    codes.add_argument("--expires-in", type=int, help="seconds that the codes work (default: 900)")
    codes.add_argument("--device-name", help="the name of the new device; of several, each with its number")
    codes.add_argument("--device", metavar="ID", help="a code with a new secret of this device, for a terminal that moves")
    add("enrolments", lambda owner, _: owner.enrolments(), "print what became of codes, oldest first")
    deleted = add(
        "delete-enrolment",
        lambda owner, o: owner.delete_enrolment(o.enrolment_id),
        "delete an enrolment, so that its code ends",
    )
    deleted.add_argument("enrolment_id")
    mode = add("mode", _mode, "say what devices may trade")
    mode.add_argument("mode", choices=["normal", "close_only", "halted"])
    _add_selection(mode)
    mode.add_argument("--cancel-signals", action="store_true", help="cancel the signals that they have not acknowledged")
    mode.add_argument("--expect", type=int, metavar="N", help="do nothing if another number of devices matches")
    mode.add_argument("--dry-run", action="store_true", help="say what would happen")
    mode.add_argument("--reason", help="devices are shown it")
    send = add("send", _send, "send a signal")
    send.add_argument("payload", help="a JSON object")
    _add_selection(send)
    send.add_argument("--ttl-seconds", type=int, help="how long devices get it (default: 3600)")
    send.add_argument("--idempotency-key", help="sending again with the same key within 24 hours does nothing")
    add("signals", lambda owner, _: owner.signals(), "print the signals, newest first")
    cancelled = add("cancel", lambda owner, o: owner.cancel(o.signal_id, reason=o.reason), "cancel a signal")
    cancelled.add_argument("signal_id")
    cancelled.add_argument("--reason", help="for the event")
    shown = add("signal", lambda owner, o: owner.signal(o.signal_id), "print a signal and its first deliveries")
    shown.add_argument("signal_id")
    events = add("events", _events, "print what happened, oldest first")
    events.add_argument("--follow", action="store_true", help="continue with what happens, without end")
    events.add_argument("--after", help="begin after this cursor; `now` for what happens from now on")
    events.add_argument("--types", help="types separated by commas; 'device.*' means all types of devices")
    events.add_argument("--device", metavar="ID", help="only events of this device")
