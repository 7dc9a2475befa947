"""The process between the one that wants a Cassandra node and the node's JVM.

Runs as a plain script (``python -I -S guard.py SPECIFICATION``), imports the standard library
only, and outlives nothing: the JVM dies when this process dies (Linux: parent-death signal), and
this process stops the JVM when its standard input closes, which the kernel does however the
wanting process ends.

Standard input takes one command a line: ``stop``, ``kill``, ``pause``, ``resume``. Standard output
says
``pid N`` once, ``ok COMMAND`` after pause and resume, ``exit N`` at the end (negative: died by
that signal). Signals go through here since only the JVM's parent can know that the process id is
still the JVM's.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PARENT_CHECK_INTERVAL = 1.0


def die_with_parent(guard_pid: int) -> None:
    """Ask Linux to kill this process when the guard's thread ends; elsewhere do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard_pid:
            os._exit(1)


def say(line: str) -> None:
    """Write one line to the owner, who may be gone."""
    with contextlib.suppress(OSError):
        os.write(1, f"{line}\n".encode())


class Guard:
    """Owns one JVM until it has ended.

    :param command: the JVM's command line
    :param output: file that takes the JVM's standard output and error
    :param grace: seconds between SIGTERM and SIGKILL
    """

    def __init__(self, command: list[str], output: str, grace: float) -> None:
        self.grace = grace
        self.owner: int = os.getppid()
        self.kill_at: float | None = None
        self.orphaned: bool = False
        self.wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGHUP, lambda *_: self.stop())
        guard_pid = os.getpid()
        with open(output, "ab") as log:
            self.jvm: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Java reads paths in the locale's encoding, which may be ASCII.
                env=os.environ | {"LC_ALL": "C.UTF-8"},
                preexec_fn=lambda: die_with_parent(guard_pid),
            )
        say(f"pid {self.jvm.pid}")

    def stop(self) -> None:
        if self.kill_at is None:
            self.kill_at = time.monotonic() + self.grace
            self.jvm.send_signal(signal.SIGCONT)
            self.jvm.terminate()

    def pause(self) -> None:
        self.jvm.send_signal(signal.SIGSTOP)
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self.jvm.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def obey(self, command: str) -> None:
        if command == "stop":
            self.stop()
        elif command == "kill":
            self.jvm.kill()
        elif command == "pause":
            self.pause()
            say("ok pause")
        elif command == "resume":
            self.jvm.send_signal(signal.SIGCONT)
            say("ok resume")

    def run(self) -> int:
        """Serve commands until the JVM has ended; return its exit code."""
        inputs = [0, self.wake_read]
        pending = b""
        while (code := self.jvm.poll()) is None:
            ready, _, _ = select.select(inputs, [], [], PARENT_CHECK_INTERVAL)
            if self.wake_read in ready:
                os.read(self.wake_read, 4096)
            if 0 in ready:
                received = os.read(0, 4096)
                *lines, pending = (pending + received).split(b"\n")
                for line in lines:
                    self.obey(line.decode())
                if not received:
                    inputs.remove(0)
                    self.orphaned = True
            if os.getppid() != self.owner:
                self.orphaned = True
            if self.orphaned:
                self.stop()
            if self.kill_at is not None and time.monotonic() >= self.kill_at:
                self.jvm.kill()
        say(f"exit {code}")
        return code


def main() -> int:
    specification = json.loads(sys.argv[1])
    # Now: when it is needed, the package may be gone.
    made = runpy.run_path(str(Path(__file__).with_name("made.py")))
    guard = Guard(specification["command"], specification["output"], specification["grace"])
    code = guard.run()
    if guard.orphaned and specification["remove"]:
        made["remove_node"](Path(specification["remove"]))
    return 0 if code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
