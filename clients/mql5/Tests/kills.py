#!/usr/bin/env python3
"""Kills the demo at any point at which it changes something outside itself (a write to disk, a part of one, a request, an
order), starts it again, and sends it signals all the while. No signal may be placed twice, and none may be lost without being
reported.  MQL5_KILLS (200) is how often, on several computers; MQL5_SEED repeats the choices of a run.
"""
import collections
import concurrent.futures
import os
import pathlib
import random
import signal
import sys
import tempfile

from terminal import CHART_CHANGED, Computer, Owner, Registry, Terminal, tag, wait

KILLS = int(os.environ.get("MQL5_KILLS", 200))
SEED = int(os.environ.get("MQL5_SEED", random.randrange(2**32)))
COMPUTERS = 4
# Points of a run that gets a signal and reports it.
POINTS = 44
# A run that ends before its point is killed after that time, and does not count.
RUN_SECONDS = 0.7
# For each kill that counts.
RUNS_AT_MOST = 3
SETTINGS = {"POLL_INTERVAL_MILLISECONDS": "250"}


class Trial:
    """One computer, whose program is killed."""

    def __init__(self, registry, home, number, kills):
        self.owner = Owner(registry, f"owner{number}")
        self.device = self.owner.register()
        self.registry = registry
        self.computer = Computer(pathlib.Path(home, f"home{number}"))
        self.chance = random.Random(SEED + number)
        self.kills = kills
        self.points = collections.Counter()
        self.orders = collections.Counter()
        self.unknown = 0
        self.signals = []
        self.inputs = {"InpDevice": self.device["id"], "InpCode": self.device["secret"], "InpTimer": 5, "InpReconcile": 50}

    def run(self):
        """What went wrong, as text."""
        for _ in range(self.kills * RUNS_AT_MOST):
            if self.points.total() >= self.kills:
                break
            self.signals += [self.owner.send(self.device["id"]) for _ in range(self.chance.choice((1, 1, 2)))]
            self._kill(self.chance.randint(1, POINTS))
        terminal = Terminal(self.computer, self.registry.url, **self.inputs)
        try:
            states = [self.owner.acknowledged(sent, self.device["id"]) for sent in self.signals]
        except AssertionError as error:
            return [f"{error}\n{terminal.text()}\n{self.computer.files()}"]
        finally:
            terminal.stop(CHART_CHANGED)
        return self._wrong(states)

    def _kill(self, point):
        terminal = Terminal(self.computer, self.registry.url, SHIM_KILL_AT=point, **self.inputs)
        try:
            wait(lambda: terminal.process.poll() is not None, "", RUN_SECONDS)
            self.points[point] += 1
        except AssertionError:
            terminal.kill()
        terminal.end()
        if terminal.process.returncode != -signal.SIGKILL:
            raise AssertionError(f"seed {SEED}, exit status {terminal.process.returncode}\n{terminal.text()}")

    def _wrong(self, states):
        self.orders = collections.Counter(self.computer.orders())
        self.unknown = sum(state["status"] == "failed" for state in states)
        wrong = [f"{order} was placed {times} times" for order, times in self.orders.items() if times > 1]
        for sent, state in zip(self.signals, states):
            if self.orders[tag(sent)] != (1 if state["status"] == "placed" else 0):
                wrong.append(f"{sent} was placed {self.orders[tag(sent)]} times and reported as {state}")
            if state["status"] != "placed" and "state unknown after a restart" not in state["error"]:
                wrong.append(f"{sent}: {state}")
        return wrong


def main():
    with tempfile.TemporaryDirectory() as home:
        registry = Registry(pathlib.Path(home), **SETTINGS)
        try:
            trials = [Trial(registry, home, number, KILLS // COMPUTERS) for number in range(COMPUTERS)]
            with concurrent.futures.ThreadPoolExecutor(COMPUTERS) as pool:
                wrong = sum(pool.map(Trial.run, trials), [])
        finally:
            registry.stop()
    points = sum((trial.points for trial in trials), collections.Counter())
    placed = sum(sum(trial.orders.values()) for trial in trials)
    unknown = sum(trial.unknown for trial in trials)
    print("\n".join(wrong + [
        f"{points.total()} kills at {len(points)} points: {sum(len(trial.signals) for trial in trials)} signals, {placed} placed "
        f"once, {unknown} reported as unknown, {len(wrong)} wrong (seed {SEED})."]))
    return 1 if wrong or points.total() < KILLS // COMPUTERS * COMPUTERS else 0


sys.exit(main())
