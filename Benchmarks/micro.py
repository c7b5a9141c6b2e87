#!/usr/bin/env python3
"""Measures the parts of one request, beside a PostgreSQL that it starts for the statements' round trip.

`make bench-micro` builds what this needs and calls it.
"""
import os
import signal
import subprocess
import sys

sys.dont_write_bytecode = True

from driver.bench import Bench  # noqa: E402
from driver.databases import migrate  # noqa: E402
from driver.processes import BINARIES  # noqa: E402

# A finally is reached however the run is ended.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
try:
    with Bench(seconds=0, rounds=0) as bench:
        bench.cluster.make("micro", lambda new: migrate(bench.cluster.url(new)))
        environment = {**os.environ, "DATABASE_URL": bench.cluster.url("micro")}
        sys.exit(subprocess.run([BINARIES / "benchmark-micro"], env=environment).returncode)
except KeyboardInterrupt:
    sys.exit(130)
