#!/usr/bin/env python3
"""Measures the parts of one request, beside a PostgreSQL that it starts for the statements' round trip.

`make bench-micro` builds what this needs and calls it.
"""
import os
import subprocess
import sys

sys.dont_write_bytecode = True

from driver.bench import Bench  # noqa: E402
from driver.databases import migrate  # noqa: E402
from driver.processes import BINARIES, run  # noqa: E402


def main():
    with Bench(seconds=0, rounds=0) as bench:
        bench.cluster.make("micro", lambda new: migrate(bench.cluster.url(new)))
        environment = {**os.environ, "DATABASE_URL": bench.cluster.url("micro")}
        sys.exit(subprocess.run([BINARIES / "benchmark-micro"], env=environment).returncode)


run(main)
