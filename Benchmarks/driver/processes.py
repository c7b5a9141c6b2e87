"""Starting programs so that none outlives the benchmark."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BINARIES = ROOT / ".build/release"


def say(text: str):
    print(text, file=sys.stderr, flush=True)


def run(main):
    """Calls a program's main so that each finally is reached, however the run is ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)


def start(command, *, user=None, death_signal="KILL", **options) -> subprocess.Popen:
    """In a separate session, so that Ctrl-C reaches only us; the kernel ends it when we end."""
    setpriv = ["setpriv", "--pdeathsig", death_signal]
    if user and os.getuid() == 0:
        setpriv += [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    return subprocess.Popen(setpriv + ["--"] + [str(word) for word in command], start_new_session=True, **options)


def stop(process: subprocess.Popen, number: int):
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def output(command, **options) -> str:
    """The output of a program that ends without a signal."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if result.returncode != 0:
        raise RuntimeError(f"{command[0]} failed: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


def wait_until(condition, what: str, seconds: float = 30):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(0.001)


def descendants(process: int) -> list[int]:
    """A process and all those below it."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process] + [found for child in children for found in descendants(int(child))]
