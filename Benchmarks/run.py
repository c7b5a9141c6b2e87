#!/usr/bin/env python3
"""Measures the service beside the machine's limits and beside what its users would otherwise run.

`make bench` builds what this needs and calls it. Progress goes to standard error, the tables to standard output, and
every single figure to .build/benchmarks.json. Settings are environment variables:

  BENCH_CASES      names of groups, separated by commas, as GROUPS in driver/groups.py has them; all by default
  BENCH_SECONDS    how long each figure is measured (3)
  BENCH_ROUNDS     how often; medians are printed (3)
  BENCH_FOLDER     where databases are made and kept for the next run; by default they are deleted
"""
import contextlib
import os
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from driver import groups, report  # noqa: E402
from driver.bench import Bench  # noqa: E402
from driver.processes import run  # noqa: E402


def main():
    wanted = [name for name in os.environ.get("BENCH_CASES", "").split(",") if name]
    unknown = set(wanted) - set(groups.GROUPS)
    if unknown:
        sys.exit(f"BENCH_CASES: {', '.join(sorted(unknown))}: there are {', '.join(groups.GROUPS)}")
    seconds, rounds = int(os.environ.get("BENCH_SECONDS", "3")), int(os.environ.get("BENCH_ROUNDS", "3"))
    results = []
    with contextlib.ExitStack() as stack:
        bench = stack.enter_context(Bench(seconds, rounds, os.environ.get("BENCH_FOLDER")))
        for name in wanted or groups.GROUPS:
            results.append(groups.GROUPS[name](bench))
            print(report.table(results[-1]), flush=True)
    print(report.targets(results))
    path = Path(__file__).resolve().parent.parent / ".build/benchmarks.json"
    path.write_text(report.json_text(results))
    print(f"Every figure is in {path}", file=sys.stderr)


run(main)
