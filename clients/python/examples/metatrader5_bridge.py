"""Trades the signals of a device in MetaTrader 5, each at most once.

    pip install device-registry-client MetaTrader5
    python metatrader5_bridge.py --key-file ea.key

Runs on Windows beside a MetaTrader 5 terminal that is signed in and allows algorithmic trading. A signal's payload is
`{"symbol": "EURUSD", "side": "buy" | "sell", "volume": 0.1, "sl": 1.08, "tp": 1.12}`; `sl` and `tp` are optional.

The order has the last 16 digits of the signal's id as its comment, and a magic number. After a crash the bridge looks
for it among orders, positions and deals; an order that it does not find is not placed again, but reported as failed.
"""

from __future__ import annotations

import argparse
import logging
import time
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from device_registry import (
    Account,
    Credentials,
    DeviceClient,
    DeviceRevoked,
    DeviceSignal,
    Journal,
    Order,
    Problem,
    Program,
    RegistryError,
    Terminal,
)

log = logging.getLogger("bridge")

REFUSAL_PAUSE_SECONDS = 60
DEVIATION_POINTS = 20
ACCOUNT_MODES = ["demo", "contest", "real"]
"""By the numbers of ACCOUNT_TRADE_MODE."""
DEAL_WINDOW = timedelta(days=7)


class MetaTrader(Protocol):
    """What the bridge uses of the package MetaTrader5, which exists for Windows only. Tests have their own."""

    ORDER_TYPE_BUY: int
    ORDER_TYPE_SELL: int
    ORDER_FILLING_IOC: int
    ORDER_TIME_GTC: int
    TRADE_ACTION_DEAL: int
    TRADE_RETCODE_DONE: int

    def order_send(self, request: dict[str, Any]) -> Any: ...
    def symbol_info_tick(self, symbol: str) -> Any: ...
    def symbol_select(self, symbol: str, enable: bool) -> bool: ...
    def orders_get(self) -> Any: ...
    def positions_get(self) -> Any: ...
    def history_deals_get(self, since: datetime, until: datetime) -> Any: ...
    def last_error(self) -> tuple[int, str]: ...
    def account_info(self) -> Any: ...
    def terminal_info(self) -> Any: ...


class Refused(Exception):
    """The terminal or the broker did not take the order."""


class Bridge:
    def __init__(self, terminal: MetaTrader, magic: int) -> None:
        self._terminal = terminal
        self._magic = magic

    def trade(self, device: DeviceClient, journal: Journal) -> None:
        """Places the signals as they arrive, without end."""
        account, terminal = self._terminal.account_info(), self._terminal.terminal_info()
        if account is None or terminal is None:
            raise SystemExit(f"the terminal is not signed in: {self._terminal.last_error()}")
        device.set_context(
            Account(str(account.login), account.server, ACCOUNT_MODES[account.trade_mode]),
            terminal=Terminal(terminal.name, str(terminal.build)),
            program=Program("metatrader5_bridge", "1", magic=str(self._magic)),
        )
        for order in device.orders(journal, find=self.find, on_failure=lambda error: log.warning("%s", error)):
            self.place(order)

    def place(self, order: Order) -> None:
        """Places one order and says how it ended."""
        try:
            ticket = self._send(order.signal)
        except Refused as error:
            log.warning("%s: %s", order.id, error)
            order.failed(str(error)[:500])
        except (KeyError, TypeError, ValueError) as error:
            log.warning("%s: the payload is not one of ours: %r", order.id, error)
            order.failed(f"malformed payload: {error!r}"[:500])
        else:
            log.info("%s: placed as %s", order.id, ticket)
            order.placed(ticket)

    def _send(self, signal: DeviceSignal) -> int:
        terminal, payload = self._terminal, signal.payload
        symbol = str(payload["symbol"])
        buys = {"buy": True, "sell": False}[payload["side"]]
        request: dict[str, Any] = {
            "action": terminal.TRADE_ACTION_DEAL,
            "symbol": symbol,
            "volume": float(payload["volume"]),
            "type": terminal.ORDER_TYPE_BUY if buys else terminal.ORDER_TYPE_SELL,
            "deviation": DEVIATION_POINTS,
            "magic": self._magic,
            "comment": comment(signal.id),
            "type_time": terminal.ORDER_TIME_GTC,
            "type_filling": terminal.ORDER_FILLING_IOC,
            **{name: float(payload[name]) for name in ("sl", "tp") if payload.get(name) is not None},
        }
        if not terminal.symbol_select(symbol, True) or (tick := terminal.symbol_info_tick(symbol)) is None:
            raise Refused(f"no quotes of {symbol}: {terminal.last_error()}")
        request["price"] = tick.ask if buys else tick.bid
        result = terminal.order_send(request)
        if result is None:
            raise Refused(f"the terminal refused it: {terminal.last_error()}")
        if result.retcode != terminal.TRADE_RETCODE_DONE:
            raise Refused(f"{result.retcode}: {result.comment}")
        return int(result.order)

    def find(self, signal: DeviceSignal) -> int | None:
        """The number of the order that a crash interrupted, if it reached the broker."""
        now = datetime.now(timezone.utc)
        # The broker's clock may be hours ahead of UTC.
        deals = self._terminal.history_deals_get(now - DEAL_WINDOW, now + timedelta(days=1))
        for item in [*(self._terminal.orders_get() or []), *(self._terminal.positions_get() or []), *(deals or [])]:
            if item.magic == self._magic and item.comment == comment(signal.id):
                return int(getattr(item, "order", item.ticket))
        return None


def comment(id: str) -> str:
    """What fits into the comment of an order at most brokers: 16 of the id's 32 digits."""
    return id.replace("-", "")[-16:]


def main() -> None:
    parser = argparse.ArgumentParser(description="Trades the signals of a device in MetaTrader 5.")
    parser.add_argument("--url", default="http://localhost:8000")
    parser.add_argument("--key-file", required=True, help="the device's id and secret, as RegisteredDevice.save writes them")
    parser.add_argument("--journal", default="bridge.journal")
    parser.add_argument("--magic", type=int, default=20261129)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    import MetaTrader5  # type: ignore[import-not-found]

    if not MetaTrader5.initialize():
        raise SystemExit(f"MetaTrader 5 does not answer: {MetaTrader5.last_error()}")
    bridge = Bridge(MetaTrader5, options.magic)
    with (
        DeviceClient(options.url, Credentials.from_file(options.key_file)) as device,
        Journal(options.journal, device.id) as journal,
    ):
        while True:
            try:
                bridge.trade(device, journal)
            except Problem as problem:
                # What the registry signed is true. Anybody can send an unsigned refusal, and a suspension may end.
                if problem.is_signed and isinstance(problem, DeviceRevoked):
                    raise SystemExit(str(problem)) from None
                log.error("%s", problem)
            except RegistryError as error:
                log.error("%s", error)
            time.sleep(REFUSAL_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
