"""The bridge to MetaTrader 5, with a terminal that remembers: the real one exists for Windows only."""

from __future__ import annotations

import importlib.util
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from device_registry import DeviceClient, DeviceRevoked, Journal, OwnerClient

_PATH = Path(__file__).resolve().parents[1] / "examples/metatrader5_bridge.py"
_SPECIFICATION = importlib.util.spec_from_file_location("metatrader5_bridge", _PATH)
assert _SPECIFICATION is not None
assert _SPECIFICATION.loader is not None
bridge = importlib.util.module_from_spec(_SPECIFICATION)
_SPECIFICATION.loader.exec_module(bridge)


class Terminal:
    """Remembers orders as positions."""

    ORDER_TYPE_BUY, ORDER_TYPE_SELL, ORDER_FILLING_IOC, ORDER_TIME_GTC = 0, 1, 1, 0
    TRADE_ACTION_DEAL, TRADE_RETCODE_DONE = 1, 10009

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def symbol_select(self, symbol: str, enable: bool) -> bool:
        return symbol == "EURUSD"

    def symbol_info_tick(self, symbol: str) -> Any:
        return SimpleNamespace(ask=1.1, bid=1.0)

    def order_send(self, request: dict[str, Any]) -> Any:
        if request["volume"] > 100:
            return SimpleNamespace(retcode=10014, comment="Invalid volume", order=0)
        self.sent.append(request)
        return SimpleNamespace(retcode=self.TRADE_RETCODE_DONE, comment="", order=1000 + len(self.sent))

    def orders_get(self) -> Any:
        return None

    def positions_get(self) -> Any:
        return [
            SimpleNamespace(magic=request["magic"], comment=request["comment"], ticket=1001 + index)
            for index, request in enumerate(self.sent)
        ]

    def history_deals_get(self, since: Any, until: Any) -> Any:
        return ()

    def account_info(self) -> Any:
        return SimpleNamespace(login=123456, server="MetaQuotes-Demo", trade_mode=0)

    def terminal_info(self) -> Any:
        return SimpleNamespace(name="MetaTrader 5", build=4755)

    def last_error(self) -> tuple[int, str]:
        return (-1, "unknown symbol")


def test_the_bridge_places_and_reports(owner: OwnerClient, device: DeviceClient, tmp_path: Path) -> None:
    terminal = Terminal()
    payloads: list[dict[str, Any]] = [
        {"symbol": "EURUSD", "side": "buy", "volume": 0.1, "sl": 0.9, "tp": None},
        {"symbol": "EURUSD", "side": "sell", "volume": 0.2},
        {"symbol": "XXX", "side": "buy", "volume": 0.1},
        {"symbol": "EURUSD", "side": "buy", "volume": 1000},
        {"symbol": "EURUSD", "side": "hold", "volume": 0.1},
        {"symbol": "EURUSD", "side": "buy", "volume": "much"},
    ]
    sent = [owner.send(payload, all=True) for payload in payloads]
    trader = bridge.Bridge(terminal, magic=7)
    with Journal(tmp_path / "journal", device.id) as journal:
        orders = device.orders(journal, find=trader.find)
        for _ in sent:
            trader.place(next(orders))
        device.ack_all(journal.unacknowledged(10))
    assert [(request["type"], request["price"], request["volume"]) for request in terminal.sent] == [
        (terminal.ORDER_TYPE_BUY, 1.1, 0.1),
        (terminal.ORDER_TYPE_SELL, 1.0, 0.2),
    ]
    assert (terminal.sent[0]["sl"], terminal.sent[0].get("tp")) == (0.9, None)
    deliveries = [owner.signal(signal.id).deliveries[0] for signal in sent]
    assert [delivery.broker_ticket for delivery in deliveries] == ["1001", "1002", None, None, None, None]
    assert all(delivery.error for delivery in deliveries[2:])


def test_after_a_crash_the_bridge_finds_its_order(owner: OwnerClient, device: DeviceClient, tmp_path: Path) -> None:
    terminal = Terminal()
    trader = bridge.Bridge(terminal, magic=7)
    reached, lost = (owner.send({"symbol": "EURUSD", "side": "buy", "volume": 1}, all=True) for _ in range(2))
    with Journal(tmp_path / "journal", device.id) as journal:
        signals = journal.see(device.poll().signals)
        for signal in signals:
            journal.begin(signal)
        # It ends between the broker's answer and the journal, or before the broker.
        trader._send(signals[0])
    with Journal(tmp_path / "journal", device.id) as journal:
        orders = device.orders(journal, find=trader.find)
        new = owner.send({"symbol": "EURUSD", "side": "buy", "volume": 1}, all=True)
        assert next(orders).id == new.id
    assert len(terminal.sent) == 1
    assert owner.signal(reached.id).deliveries[0].broker_ticket == "1001"
    assert owner.signal(lost.id).deliveries[0].status == "failed"


def test_the_bridge_says_where_it_runs_and_trades_until_it_is_revoked(
    owner: OwnerClient, device: DeviceClient, tmp_path: Path
) -> None:
    terminal = Terminal()
    sent = owner.send({"symbol": "EURUSD", "side": "buy", "volume": 1}, all=True)
    raised: list[Exception] = []

    def trade() -> None:
        with Journal(tmp_path / "journal", device.id) as journal:
            try:
                bridge.Bridge(terminal, magic=7).trade(device, journal)
            except DeviceRevoked as error:
                raised.append(error)

    thread = threading.Thread(target=trade)
    thread.start()
    while owner.signal(sent.id).deliveries[0].state != "acked":
        time.sleep(0.02)
    context = owner.device(device.id).context
    assert context is not None
    assert (context.account.login, context.account.mode) == ("123456", "demo")
    owner.revoke(device.id)
    thread.join(15)
    assert len(raised) == 1
    assert len(terminal.sent) == 1
