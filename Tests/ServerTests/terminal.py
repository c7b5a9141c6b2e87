"""Runs a command on a terminal:  terminal.py COLUMNS ANSWER COMMAND...

Types the answer when the command asks ("Type yes"), unless it is empty. Prints what the terminal shows, and exits as the
command does. With shell as the command's name, see shell() below.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

LONGEST_SECONDS = 60


def start(command, columns):
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        os.execvp(command[0], command)
    return child, terminal


def read(terminal, until=None):
    """What is shown, to its end or until a text is in it."""
    shown = b""
    end = time.monotonic() + LONGEST_SECONDS
    while until is None or until not in shown:
        if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
            raise TimeoutError(shown.decode(errors="replace"))
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # The end, on Linux.
            break
        if not piece:
            break
        shown += piece
    return shown


def run(columns, answer, command):
    child, terminal = start(command, columns)
    shown = b""
    if answer:
        shown = read(terminal, until=b"Type yes")
        os.write(terminal, answer.encode() + b"\n")
    sys.stdout.buffer.write(shown + read(terminal))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def shell(name, program, line):
    """Types a line and Tab into an interactive shell that has the program's completion. Prints what is shown, and the
    line as the shell completed it, after "@"."""
    command, setup = {
        "bash": (["bash", "--norc", "--noprofile", "-i"], "bind 'set bell-style none'"),
        "zsh": (["zsh", "-f", "-i"], "autoload -U compinit; compinit -D -u; bindkey -e; unsetopt beep"),
    }[name]
    child, terminal = start(command, 200)
    # The texts are split, so that the echo of what is typed is not taken for them.
    source = f"PATH=$PATH:{os.path.dirname(program)}; source <({program} completion {name})"
    os.write(terminal, f"{setup}; {source}; PS1='$ '; echo rea''dy\n".encode())
    shown = read(terminal, until=b"ready")
    # Ctrl-A is the beginning of the line.
    os.write(terminal, line.encode() + b"\t\x01echo @\n" + b"echo do''ne\n")
    shown = read(terminal, until=b"done")
    os.write(terminal, b"exit\n")
    sys.stdout.buffer.write(shown)
    read(terminal)
    os.waitpid(child, 0)
    return 0


if sys.argv[1] == "shell":
    sys.exit(shell(*sys.argv[2:]))
sys.exit(run(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
