"""One node of a server: a JVM under a guard process."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Literal

from async_cassandra.server.addresses import NodeAddress
from async_cassandra.server.configuration import MAIN_CLASS
from async_cassandra.server.errors import ServerError, ServerStartError

GRACE = 20.0
LOG_LINES_SHOWN = 20

type NodeState = Literal["stopped", "running", "paused"]


class Node:
    """One Cassandra node of a :class:`~async_cassandra.server.CassandraServer`.

    :param index: its place in the server, from 0
    :param folder: holds its configuration, data and logs
    :param command: the JVM's command line up to the main class
    :param temporary: whether its folder may be deleted when its owner has died
    """

    def __init__(
        self, index: int, address: NodeAddress, folder: Path, command: list[str], temporary: bool
    ) -> None:
        self.index = index
        self.listens_at = address
        self.address: str = address.host
        self.port: int = address.port
        self.log: Path = folder / "system.log"
        self.output: Path = folder / "jvm.log"
        self._folder = folder
        self._command = [*command, MAIN_CLASS]
        self._temporary = temporary
        self._guard: subprocess.Popen[str] | None = None
        self._pid: int | None = None
        self._paused = False
        self._returncode: int | None = None

    def __repr__(self) -> str:
        return f"<Node {self.index} {self.address}:{self.port} {self.state}>"

    @property
    def pid(self) -> int | None:
        """Process id of the JVM, None when it does not run."""
        return self._pid if self._guard is not None and self._guard.poll() is None else None

    @property
    def state(self) -> NodeState:
        if self.pid is None:
            return "stopped"
        return "paused" if self._paused else "running"

    @property
    def returncode(self) -> int | None:
        """How the last JVM ended: its exit code, or minus the number of the signal."""
        if self.pid is None:
            self._reap()
        return self._returncode

    def spawn(self) -> None:
        """Start the JVM and return at once.

        :raises ~async_cassandra.server.ServerError: if it runs already
        """
        if self.pid is not None:
            raise ServerError(f"{self!r} runs already")
        self._reap()
        self._returncode = None
        self._paused = False
        specification = {
            "command": self._command,
            "output": str(self.output),
            "grace": GRACE,
            "remove": str(self._folder) if self._temporary else None,
        }
        guard = Path(__file__).with_name("guard.py")
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(guard), json.dumps(specification)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        word, _, pid = self._answer().partition(" ")
        if word != "pid":
            self._reap()
            raise ServerStartError(f"{self!r}: Java could not be started; see {self.output}")
        self._pid = int(pid)

    def terminate(self) -> None:
        """Ask the JVM to end in good order and return at once; do nothing when it does not run."""
        self._send("stop")

    def kill(self) -> None:
        """End the JVM with SIGKILL and return when it is gone; do nothing when it does not run."""
        self._send("kill")
        self.wait()

    def wait(self) -> None:
        """Return when the JVM has ended."""
        if self._guard is not None:
            self._guard.wait()
            self._reap()

    def pause(self) -> None:
        """Stop the JVM with SIGSTOP: its connections stay open and nothing answers.

        :raises ~async_cassandra.server.ServerError: if it does not run
        """
        self._require("pause")
        self._paused = True

    def resume(self) -> None:
        """Let a paused JVM continue.

        :raises ~async_cassandra.server.ServerError: if it does not run
        """
        self._require("resume")
        self._paused = False

    def log_tail(self) -> str:
        """Return the last lines that the node wrote, for an error message."""
        path = self.log if self.log.is_file() else self.output
        lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
        return "\n".join(lines[-LOG_LINES_SHOWN:])

    def _require(self, command: str) -> None:
        self._send(command)
        if self.pid is None or self._answer() != f"ok {command}":
            raise ServerError(f"{self!r} does not run")

    def _send(self, command: str) -> None:
        if self._guard is None or self._guard.stdin is None or self._guard.poll() is not None:
            return
        try:
            self._guard.stdin.write(f"{command}\n")
            self._guard.stdin.flush()
        except BrokenPipeError:
            self.wait()

    def _answer(self) -> str:
        """The guard's next line; what it says at the JVM's end is kept, and "" returned for it."""
        if self._guard is None or self._guard.stdout is None:
            return ""
        line = self._guard.stdout.readline().strip()
        word, _, code = line.partition(" ")
        if word == "exit":
            self._returncode = int(code)
            return ""
        return line

    def _reap(self) -> None:
        """Read the last words of a guard that has ended, and forget it."""
        if self._guard is None:
            return
        while self._answer():
            pass
        self._guard.wait()
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._guard = None
        self._pid = None
