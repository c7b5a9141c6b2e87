#!/usr/bin/env python3
"""The shipped demo, on the shim, against the real service."""
import concurrent.futures
import gzip
import json
import pathlib
import re
import sys
import tempfile
import time
import unittest

from terminal import CHART_CHANGED, REMOVED, Computer, Owner, Proxy, ProxyAnswer, Registry, Terminal, tag, wait, WAIT_SECONDS

TESTS_AT_ONCE = 8
LEASE_SECONDS = 60
REFUSAL_SECONDS = 30  # between polls of a device that is refused
ABSENT = "http://127.0.0.1:9"  # the port of discard, where nothing listens


def moment(seconds):
    """A time from now on, as the API has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1 + seconds))


class Scenario(unittest.TestCase):
    """One registry for all; an owner, a device and a computer for each."""

    registry = None

    def start_registry(self, **settings):
        registry = Registry(pathlib.Path(tempfile.mkdtemp(dir=self.folder.name)), **settings)
        self.addCleanup(registry.stop)
        return registry

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.computer = Computer(self.folder.name)
        self.owner = Owner(self.registry, self.id().rsplit(".", 1)[1][:60])
        self.device = self.owner.register()
        self.id_ = self.device["id"]
        self.inputs = {"InpDevice": self.id_, "InpCode": self.device["secret"]}

    def terminal(self, url=None, computer=None, **inputs):
        terminal = Terminal(computer or self.computer, url or self.registry.url, **(self.inputs | inputs))
        self.addCleanup(lambda: terminal.process.poll() is None and terminal.kill())
        return terminal

    def proxy(self, change):
        proxy = Proxy(self.registry.url, change)
        self.enterContext(proxy.running())
        return proxy

    def trades(self, terminal, **payload):
        """A signal is placed, once, and the owner sees it."""
        signal = self.owner.send(self.id_, **payload)
        delivery = self.owner.acknowledged(signal, self.id_)
        self.assertEqual(delivery["status"], "placed", terminal.text())
        self.assertEqual(self.computer.orders().count(tag(signal)), 1)
        return signal


class NormalDay(Scenario):
    def test_signals_are_placed_once_and_reported(self):
        terminal = self.terminal()
        terminal.see("^connected$")
        for _ in range(3):
            self.trades(terminal)
        ticket = self.owner.acknowledged(self.trades(terminal), self.id_)["broker_ticket"]
        self.assertEqual(ticket, "4")
        terminal.stop()
        self.assertEqual(len(self.computer.orders()), 4)

    def test_a_signal_that_was_sent_before_the_first_start_is_placed(self):
        signal = self.owner.send(self.id_)
        self.terminal()
        self.assertEqual(self.owner.acknowledged(signal, self.id_)["status"], "placed")

    def test_a_second_chart_with_the_same_device_waits_for_the_first(self):
        first = self.terminal()
        first.see("^connected$")
        second = self.terminal()
        second.see("another chart or terminal of this Windows user.* opens nothing")
        self.trades(first)
        first.stop(REMOVED)
        second.see("^connected$")
        self.trades(second)

    def test_a_restart_on_the_same_chart_trades_nothing_twice(self):
        terminal = self.terminal()
        self.trades(terminal)
        for _ in range(3):
            terminal.stop(CHART_CHANGED)
            terminal = self.terminal(InpCode="")
            terminal.see("^connected$")
        self.trades(terminal)
        self.assertEqual(len(self.computer.orders()), 2)

    def test_signals_that_were_sent_during_a_restart_are_placed(self):
        terminal = self.terminal()
        terminal.see("^connected$")
        terminal.stop(CHART_CHANGED)
        signal = self.owner.send(self.id_)
        self.terminal()
        self.assertEqual(self.owner.acknowledged(signal, self.id_)["status"], "placed")

    def test_many_signals_at_once(self):
        signals = [self.owner.send(self.id_) for _ in range(35)]
        self.terminal()
        for signal in signals:
            self.assertEqual(self.owner.acknowledged(signal, self.id_)["status"], "placed")
        self.assertEqual(sorted(self.computer.orders()), sorted(map(tag, signals)))

    def test_what_the_ea_cannot_trade_is_reported(self):
        self.terminal()
        for payload, error in [({"side": "up"}, "side must be"), ({"volume": 5}, "above the limit"), ({"symbol": 7}, "needs symbol"),
                               ({"sl": "low"}, "must be prices")]:
            delivery = self.owner.acknowledged(self.owner.send(self.id_, **payload), self.id_)
            self.assertEqual(delivery["status"], "failed")
            self.assertIn(error, delivery["error"])
        self.assertEqual(self.computer.orders(), [])

    def test_what_the_broker_refuses_is_reported_in_utf8(self):
        terminal = self.terminal()
        terminal.see("^connected$")
        terminal.say("rejects 1")
        delivery = self.owner.acknowledged(self.owner.send(self.id_, comment="prix: 5 € – größer 🙂"), self.id_)
        self.assertEqual((delivery["status"], delivery["error"]), ("failed", "not enough money ä€"))

    def test_a_signal_that_expires_before_the_terminal_starts_is_not_placed(self):
        signal = self.owner.send(self.id_, ttl=1)
        wait(lambda: self.owner.delivery(signal, self.id_)["state"] == "expired", "the signal expires")
        terminal = self.terminal()
        self.trades(terminal)
        self.assertEqual(len(self.computer.orders()), 1)

    def test_a_poll_costs_less_than_a_millisecond_of_its_own(self):
        terminal = self.terminal(program="demo-fast")
        terminal.see("^connected$")
        for _ in range(3):
            self.trades(terminal)
        terminal.stop()
        own = float(re.search(r"OnTimer: ([0-9.]+) ms", terminal.text())[1])
        print(f"         OnTimer without WebRequest: {own} ms")
        self.assertLess(own, 1)

    def test_the_service_program_trades_a_signal_at_once(self):
        service = self.terminal(program="service", InpWait=5)
        service.read("connected")
        time.sleep(0.3)
        start = time.monotonic()
        signal = self.owner.send(self.id_)
        self.owner.acknowledged(signal, self.id_)
        self.assertLess(time.monotonic() - start, 2)
        service.stop(REMOVED)


class Clock(Scenario):
    def test_a_clock_that_is_an_hour_ahead_is_corrected(self):
        terminal = self.terminal(SHIM_CLOCK_OFFSET=3600)
        self.trades(terminal)

    def test_a_clock_that_is_25_hours_slow_is_corrected_and_remembered(self):
        terminal = self.terminal(SHIM_CLOCK_OFFSET=-90000)
        self.trades(terminal)
        terminal.stop()
        proxy = self.proxy(lambda answer: answer)
        again = self.terminal(proxy.url, SHIM_CLOCK_OFFSET=-90000)
        again.see("^connected$")
        self.assertNotIn("clock", again.text())

    def test_a_clock_that_is_set_while_the_program_runs_does_not_matter(self):
        terminal = self.terminal()
        terminal.see("^connected$")
        for offset in (7200, -86400, 0):
            terminal.say(f"clock {offset}")
            self.trades(terminal)

    def test_expiry_is_judged_by_the_registrys_clock(self):
        terminal = self.terminal(SHIM_CLOCK_OFFSET=-90000)
        signal = self.owner.send(self.id_, ttl=1)
        wait(lambda: self.owner.delivery(signal, self.id_)["state"] in ("expired", "acked"), "the signal expires")
        terminal.see("^connected$")


class Answers(Scenario):
    """Whatever a terminal receives that is not the registry's changes nothing on its disk and opens no position."""

    def refuses(self, change, status):
        """The answers to polls are changed from when the terminal is connected."""
        active = []

        def on_the_way(answer):
            if active:
                return change(answer)
            self.earlier = answer
            return answer

        proxy = self.proxy(on_the_way)
        terminal = self.terminal(proxy.url)
        terminal.see("^connected$")
        before = self.computer.files()
        active.append(True)
        signal = self.owner.send(self.id_)
        terminal.see(status)
        count = len(proxy.requests)
        wait(lambda: len(proxy.requests) > count + 2, "it tries again")
        self.assertEqual(self.computer.orders(), [])
        self.assertEqual(self.computer.files(), before)
        active.clear()
        self.assertEqual(self.owner.acknowledged(signal, self.id_)["status"], "placed")
        terminal.see("^connected$")

    def test_a_forged_signal_is_ignored(self):
        self.refuses(lambda a: ProxyAnswer(a.status, a.fields, a.body.replace(b"EURUSD", b"GBPUSD").replace(b"[]", b"[ ]")),
                     "not signed by the registry")

    def test_a_forged_signal_without_a_signature_is_ignored(self):
        def change(answer):
            fields = {name: value for name, value in answer.fields.items() if not name.lower().startswith("signature")}
            return ProxyAnswer(answer.status, fields, answer.body)
        self.refuses(change, "not signed by the registry")

    def test_an_answer_to_another_request_is_ignored(self):
        self.refuses(lambda answer: self.earlier, "not signed by the registry")

    def test_an_answer_for_another_device_is_ignored(self):
        other = self.owner.register("other")
        self.refuses(lambda a: ProxyAnswer(a.status, {n: v.replace(self.id_, other["id"]) for n, v in a.fields.items()}, a.body),
                     "not signed by the registry")

    def test_a_success_that_was_a_refusal_is_ignored(self):
        self.refuses(lambda a: ProxyAnswer(201, a.fields, a.body), "not signed by the registry")

    def test_html_of_a_proxy_is_ignored(self):
        self.refuses(lambda a: ProxyAnswer(200, {"Content-Type": "text/html"}, b"<html>Please log in to the hotel's WiFi</html>"),
                     "not signed by the registry")

    def test_a_refusal_of_a_proxy_is_ignored(self):
        self.refuses(lambda a: ProxyAnswer(502, {"Content-Type": "text/html"}, b"<html>Bad gateway</html>"), "a proxy answered")

    def test_an_answer_that_is_too_long_is_ignored(self):
        self.refuses(lambda a: ProxyAnswer(a.status, a.fields, a.body + b" " * 2_000_000), "not signed by the registry")

    def test_an_unsigned_revocation_is_only_a_reason_to_try_again(self):
        problem = json.dumps({"type": "https://device-registry.example/problems/device-revoked", "status": 403}).encode()
        self.refuses(lambda a: ProxyAnswer(503, {"Content-Type": "application/problem+json"}, problem), "try again later")

    def test_header_names_in_lower_case_are_read(self):
        proxy = self.proxy(lambda a: ProxyAnswer(a.status, {n.lower(): v for n, v in a.fields.items()}, a.body))
        self.trades(self.terminal(proxy.url))

    def test_compression_on_the_way_is_undone(self):
        proxy = self.proxy(lambda a: ProxyAnswer(a.status, a.fields | {"Content-Encoding": "gzip"}, gzip.compress(a.body)))
        self.trades(self.terminal(proxy.url), comment="prix: 5 €")


class Connection(Scenario):
    def test_an_address_that_is_not_in_the_list_is_named_once(self):
        terminal = self.terminal(SHIM_ALLOWED_URL="https://elsewhere.example.com")
        terminal.see(f"add {re.escape(self.registry.url)} to Tools > Options > Expert Advisors")
        self.assertEqual(terminal.text().count("Alert: "), 1)
        self.assertIn("opens nothing", terminal.status())

    def test_a_registry_that_is_down(self):
        terminal = self.terminal(ABSENT)
        terminal.see("cannot connect.* opens nothing")

    def test_status_1001_is_no_answer(self):
        terminal = self.terminal(SHIM_STATUS_1001=1)
        terminal.see("no answer")
        terminal.say("status1001 0")
        self.trades(terminal)

    def test_silence_ends_opening_and_an_answer_begins_it_again(self):
        lost = []
        proxy = self.proxy(lambda answer: None if lost else answer)
        terminal = self.terminal(proxy.url, InpGrace=1)
        terminal.see("^connected$")
        lost.append(True)
        terminal.see("opens nothing")
        lost.clear()
        terminal.see("^connected$")
        self.trades(terminal)

    def test_an_acknowledgement_whose_answer_was_lost_is_repeated(self):
        def change(answer):
            if b'"acked":[' in answer.body and not lost:
                lost.append(True)
                return None
            return answer
        lost = []
        terminal = self.terminal(self.proxy(change).url)
        self.trades(terminal)
        wait(lambda: lost, "the answer is lost")
        self.trades(terminal)
        self.assertEqual(len(self.computer.orders()), 2)

    def test_a_full_disk_stops_trading_until_there_is_space(self):
        terminal = self.terminal()
        self.trades(terminal)
        terminal.say("full 1")
        time.sleep(0.2)
        signal = self.owner.send(self.id_)
        terminal.see("opens nothing")
        terminal.say("full 0")
        self.assertEqual(self.owner.acknowledged(signal, self.id_)["status"], "placed")
        self.assertEqual(self.computer.orders().count(tag(signal)), 1)

    def test_wrong_inputs_are_named(self):
        for inputs, message in [({"InpCode": "", "InpDevice": ""}, "enrolment code is needed"),
                                ({"InpDevice": "EA-Main"}, "must be a UUID"), ({"InpDevice": ""}, "needs the device's id"),
                                ({"InpUrl": "http://registry.example.com"}, "use https"),
                                ({"InpUrl": "registry.example.com"}, "must begin with https"),
                                ({"InpCode": "x" * 200}, "too long")]:
            terminal = self.terminal(**inputs)
            terminal.read("OnInit: 2")
            terminal.read(message)
            terminal.end()

    def test_the_strategy_tester_sends_nothing(self):
        terminal = self.terminal(ABSENT, SHIM_TESTER=1)
        terminal.see("sends nothing")
        self.assertNotIn("opens nothing", terminal.status())


class Lease(Scenario):
    """Two terminals with one secret, which trade one account."""

    def second(self, **inputs):
        return self.terminal(inputs.pop("url", None), Computer(self.folder.name, "two"), **inputs)

    def test_only_one_of_two_terminals_trades(self):
        first = self.terminal()
        first.see("^connected$")
        second = self.second()
        second.see("another terminal uses this device, last at 20.*opens nothing")
        for _ in range(3):
            self.trades(first)
        self.assertEqual(len(self.computer.orders()), 3)
        self.assertIn("another terminal", second.status())

    def test_a_terminal_that_is_removed_gives_the_device_up(self):
        first = self.terminal()
        self.trades(first)
        self.assertIsNotNone(self.owner.device(self.id_)["instance"])
        second = self.second()
        second.see("another terminal")
        first.stop(REMOVED)
        second.see("^connected$")
        self.trades(second)

    def test_a_restart_in_the_same_terminal_keeps_the_device(self):
        first = self.terminal()
        first.see("^connected$")
        instance = self.owner.device(self.id_)["instance"]["id"]
        first.kill()
        again = self.terminal()
        again.see("^connected$")
        self.assertEqual(self.owner.device(self.id_)["instance"]["id"], instance)
        self.assertNotIn("another terminal", again.text())

    def test_a_new_run_of_the_terminal_waits_for_the_lease_of_the_last_one(self):
        first = self.terminal()
        self.trades(first)
        first.kill()
        signal = self.owner.send(self.id_)
        self.computer.new_session()
        again = self.terminal()
        again.see("another terminal")
        self.assertEqual(self.owner.acknowledged(signal, self.id_, LEASE_SECONDS + WAIT_SECONDS)["status"], "placed")

    def test_a_takeover_ends_the_first_terminal(self):
        first = self.terminal()
        self.trades(first)
        second = self.second(InpTakeOver="true")
        second.see("^connected$")
        first.see("another terminal uses this device.*opens nothing")
        for _ in range(3):
            self.trades(second)
        self.assertEqual(len(self.computer.orders()), 4)
        self.assertIn("another terminal", first.status())

    def test_what_a_terminal_that_died_may_have_traded_is_not_traded_by_the_next(self):
        first = self.terminal(SHIM_KILL_ORDER=1)
        first.see("^connected$")
        signal = self.owner.send(self.id_)
        first.end()
        self.assertEqual(self.computer.orders(), [tag(signal)])
        self.assertEqual(self.owner.delivery(signal, self.id_)["status"], None)
        second = self.second(InpTakeOver="true")
        second.see("^connected$")
        self.trades(second)
        time.sleep(1)
        self.assertEqual(self.computer.orders().count(tag(signal)), 1)
        second.stop(REMOVED)
        # The first one finds its order, and reports it.
        self.computer.new_session()
        self.terminal()
        self.assertEqual(self.owner.acknowledged(signal, self.id_)["status"], "placed")
        self.assertEqual(len(self.computer.orders()), 2)


class Context(Scenario):
    def test_the_owner_sees_where_the_device_runs(self):
        terminal = self.terminal()
        terminal.see("^connected$")
        context = wait(lambda: self.owner.device(self.id_)["context"], "the context")
        self.assertEqual(context["account"], {"login": "5012345", "server": "MetaQuotes-Demo", "mode": "demo"})
        self.assertEqual(context["program"]["name"], "DeviceRegistryDemo")
        terminal.say("login 5067890")
        wait(lambda: self.owner.device(self.id_)["context"]["account"]["login"] == "5067890", "the other account")

    def test_a_device_that_is_bound_to_another_account_opens_nothing(self):
        bound = {"login": "1", "server": "MetaQuotes-Demo"}
        self.owner.call("PATCH", f"/devices/{self.id_}", {"bound_account": bound})
        terminal = self.terminal()
        terminal.see("for another trading account only, not for 5012345@MetaQuotes-Demo.* opens nothing")
        terminal.stop()
        self.terminal(SHIM_LOGIN=1).see("^connected$")


class Mode(Scenario):
    def set_mode(self, mode, reason=""):
        self.owner.call("POST", "/devices/bulk", {
            "action": "set_trading_mode", "select": {"device_ids": [self.id_]}, "trading_mode": mode, "reason": reason or mode})

    def confirmed(self):
        mode = self.owner.device(self.id_)["trading_mode"]
        return mode["confirmed_version"] == mode["version"]

    def test_a_halt_stops_trading_until_it_is_lifted(self):
        terminal = self.terminal()
        self.trades(terminal)
        self.set_mode("halted", "news")
        terminal.see(r"trading mode halted \(news\).* opens nothing")
        wait(self.confirmed, "the device confirms the mode")
        signal, cancelled = self.owner.send(self.id_), self.owner.send(self.id_)
        self.owner.call("POST", f"/signals/{cancelled}/cancel", {})
        time.sleep(1.5)
        self.assertEqual(self.owner.delivery(signal, self.id_)["status"], None)
        self.set_mode("normal")
        self.assertEqual(self.owner.acknowledged(signal, self.id_)["status"], "placed")
        wait(self.confirmed, "the device confirms the mode")
        self.assertNotIn(tag(cancelled), self.computer.orders())

    def test_close_only_skips_what_would_open(self):
        self.set_mode("close_only")
        terminal = self.terminal()
        terminal.see("trading mode close_only.* opens nothing")
        delivery = self.owner.acknowledged(self.owner.send(self.id_), self.id_)
        self.assertEqual(delivery["status"], "skipped")
        self.assertIn("close_only", delivery["error"])
        self.assertEqual(self.owner.acknowledged(self.owner.send(self.id_, side="close"), self.id_)["status"], "placed")

    def test_a_halt_is_remembered_without_a_connection(self):
        self.set_mode("halted")
        terminal = self.terminal()
        terminal.see("trading mode halted")
        terminal.stop()
        self.assertIn(b" halted ", next(content for name, content in self.computer.files().items() if name.endswith(".state")))


class Refusals(Scenario):
    def test_a_wrong_secret_is_explained(self):
        terminal = self.terminal(InpCode="0" * 64)
        terminal.see("unknown device or wrong secret.* opens nothing")

    def test_a_revoked_device_opens_nothing(self):
        terminal = self.terminal()
        self.trades(terminal)
        self.owner.call("POST", f"/devices/{self.id_}/revoke")
        terminal.see("the device is revoked.* opens nothing")

    def test_a_suspended_device_opens_nothing_until_it_is_resumed(self):
        terminal = self.terminal()
        self.trades(terminal)
        self.owner.call("POST", f"/devices/{self.id_}/suspend", {"reason": "holidays"})
        terminal.see(r"the device is suspended \(holidays\).* opens nothing")
        terminal.stop()
        self.owner.call("POST", f"/devices/{self.id_}/resume", {})
        self.trades(self.terminal())

    def test_the_device_of_a_suspended_client_opens_nothing(self):
        terminal = self.terminal()
        terminal.see("^connected$")
        administrator = Owner(self.registry, "administrator", scope="registry:admin")
        administrator.call("POST", f"/clients/{self.owner.name}/suspend", {"reason": "unpaid"})
        terminal.see(r"owner's account at the registry is suspended \(unpaid\).* opens nothing")

    def test_a_suspension_that_ends_is_survived(self):
        terminal = self.terminal()
        self.trades(terminal)
        self.owner.call("POST", f"/devices/{self.id_}/suspend", {"reason": "news", "until": moment(3600)})
        terminal.see(r"the device is suspended until .* \(news\).* opens nothing")
        signal = self.owner.send(self.id_)
        self.owner.call("POST", f"/devices/{self.id_}/suspend", {"reason": "news", "until": moment(1)})
        self.assertEqual(self.owner.acknowledged(signal, self.id_, REFUSAL_SECONDS + WAIT_SECONDS)["status"], "placed")

    def test_an_expired_device_opens_nothing_until_its_owner_sets_a_later_time(self):
        terminal = self.terminal()
        self.trades(terminal)
        self.owner.call("PATCH", f"/devices/{self.id_}", {"expires_at": moment(1)})
        terminal.see("the device has expired.* opens nothing")
        self.owner.call("PATCH", f"/devices/{self.id_}", {"expires_at": None})
        terminal.stop()
        self.trades(self.terminal())


class Enrolment(Scenario):
    def code(self, **body):
        return self.owner.call("POST", "/enrolments", body)[0]["code"]

    def devices(self):
        return [device["device_name"] for device in self.owner.call("GET", "/devices")]

    def test_a_code_makes_a_device_once(self):
        inputs = {"InpDevice": "", "InpCode": self.code(device_name="EA-London")}
        terminal = self.terminal(**inputs)
        terminal.see("^connected$")
        self.assertEqual(self.devices(), ["EA", "EA-London"])
        self.id_ = self.owner.call("GET", "/devices")[1]["id"]
        self.trades(terminal)
        terminal.stop()
        inputs["InpCode"] = f"  {inputs['InpCode'].lower()} "
        again = self.terminal(**inputs)
        self.trades(again)
        self.assertEqual(self.devices(), ["EA", "EA-London"])
        self.assertNotIn(inputs["InpCode"].strip().lower().encode(), b"".join(self.computer.files().values()).lower())

    def test_a_code_that_is_wrong_used_or_expired_is_explained(self):
        used = self.code()
        first = self.terminal(InpDevice="", InpCode=used)
        first.see("^connected$")
        first.stop(REMOVED)
        for code in ("AAAA-AAAA", used):
            elsewhere = Computer(self.folder.name, f"elsewhere-{code}")
            terminal = self.terminal(computer=elsewhere, InpDevice="", InpCode=code)
            terminal.see("enrolment code is wrong, used or expired.* opens nothing")
            self.assertEqual(elsewhere.files(), {})

    def test_an_answer_with_a_secret_that_was_lost_is_explained(self):
        lost = []

        def change(answer):
            lost.append(answer)
            return None if len(lost) == 1 else answer

        terminal = self.terminal(self.proxy(change).url, InpDevice="", InpCode=self.code(device_name="EA-Paris"))
        terminal.see("the answer with the secret was lost.* opens nothing")
        self.assertIn(self.owner.call("GET", "/devices")[1]["id"], terminal.status())
        self.assertEqual(self.computer.files(), {})

    def test_an_enrolment_that_is_not_the_registrys_changes_nothing(self):
        answers = [ProxyAnswer(200, {"Content-Type": "text/html"}, b"<html>"),
                   ProxyAnswer(201, {"Content-Type": "application/json"}, b'{"id":"../../x","secret":"' + b"0" * 64 + b'"}'),
                   ProxyAnswer(201, {"Content-Type": "application/json"}, b'{"id":"' + self.id_.encode() + b'","secret":"short"}')]
        sent = iter(answers)
        proxy = self.proxy(lambda answer: next(sent, answers[-1]))
        terminal = self.terminal(proxy.url, InpDevice="", InpCode=self.code())
        terminal.see("not signed by the registry")
        wait(lambda: len(proxy.requests) > 3, "it tries again")
        self.assertEqual(self.computer.files(), {})

    def test_a_new_code_moves_a_device_to_another_computer(self):
        first = self.terminal(InpGrace=2)
        self.trades(first)
        code = self.owner.call("POST", f"/devices/{self.id_}/enrolment", {})["code"]
        first.stop(REMOVED)
        elsewhere = Computer(self.folder.name, "two")
        second = self.terminal(computer=elsewhere, InpDevice="", InpCode=code)
        second.see("^connected$")
        self.trades(second)
        old = self.terminal(InpGrace=2)
        old.see("wrong secret.* opens nothing")

    def test_a_new_code_on_the_same_computer_keeps_the_journal(self):
        first = self.terminal()
        self.trades(first)
        first.stop(REMOVED)
        code = self.owner.call("POST", f"/devices/{self.id_}/enrolment", {})["code"]
        second = self.terminal(InpDevice="", InpCode=code)
        self.trades(second)
        self.assertEqual(len(self.computer.orders()), 2)


class Restarts(Scenario):
    def test_a_restart_of_the_registry_is_survived(self):
        registry = self.start_registry()
        self.owner = Owner(registry, "owner")
        device = self.owner.register()
        self.id_ = device["id"]
        terminal = self.terminal(registry.url, InpDevice=device["id"], InpCode=device["secret"])
        self.trades(terminal)
        registry.stop()
        terminal.see("cannot connect|no answer")
        registry.start()
        terminal.see("^connected$", 90)
        self.trades(terminal)
        self.assertEqual(len(self.computer.orders()), 2)


class Check(Scenario):
    def check(self, url=None, **inputs):
        program = self.terminal(url, program="check", **inputs)
        status = program.end()
        return status, program.text()

    def test_everything_works(self):
        status, text = self.check()
        self.assertEqual(status, 0, text)
        self.assertIn("Everything works.", text)
        self.assertEqual(text.count("ok "), 8, text)

    def test_each_failure_says_what_to_do(self):
        proxy = self.proxy(lambda a: ProxyAnswer(200, {"Content-Type": "text/html"}, b"<html>"))
        for url, inputs, message in [
                (None, {"SHIM_ALLOWED_URL": "https://elsewhere"}, "Allow WebRequest for listed URL"),
                (ABSENT, {}, "cannot connect; check the address"),
                (proxy.url, {}, "a proxy or antivirus program changes answers"),
                (None, {"InpCode": "0" * 64}, "ask the owner for a new enrolment code"),
                (None, {"InpCode": "AAAA-BBBB", "InpDevice": ""}, "attach the EA to a chart"),
                (None, {"SHIM_CLOCK_OFFSET": 3600}, "s ahead; the EA corrects that"),
                (None, {"InpUrl": "ftp://x"}, "must begin with https")]:
            status, text = self.check(url, **inputs)
            self.assertEqual(status, 1, text)
            self.assertIn(message, text)
            self.assertEqual(text.count("FAILED  "), 1, text)


def run(test):
    """Runs a test; returns its failures, as text."""
    result = unittest.TestResult()
    start = time.monotonic()
    test.run(result)
    print(f"{time.monotonic() - start:6.1f} s  {test.id().removeprefix('__main__.')}", flush=True)
    return [f"FAILED  {test}\n{text}" for test, text in result.failures + result.errors]


def main(names):
    """Runs the tests whose names contain one of some words, or all, several at once: they mostly wait."""
    # The longest first.
    tests = [test for case in unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"]) for test in case
             if not names or any(name in test.id() for name in names)]
    tests.sort(key=lambda test: "lease_of_the_last" not in test.id())
    with tempfile.TemporaryDirectory() as home:
        Scenario.registry = Registry(pathlib.Path(home))
        try:
            with concurrent.futures.ThreadPoolExecutor(TESTS_AT_ONCE) as pool:
                failures = sum(pool.map(run, tests), [])
        finally:
            Scenario.registry.stop()
    print("\n".join(failures + [f"{len(tests)} scenarios, {len(failures)} failed."]))
    return 1 if failures or not tests else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
