"""Other processes, as tests watch them (Linux)."""

from __future__ import annotations

import os
import select
from pathlib import Path


class WatchedProcess:
    """A process by its id, child or not, that cannot be mistaken for a later one of the same id."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def wait(self, timeout: float) -> bool:
        """Wait until the process has ended; return False when it has not in time."""
        ended, _, _ = select.select([self._descriptor], [], [], timeout)
        return bool(ended)

    def close(self) -> None:
        os.close(self._descriptor)


def parent_of(pid: int) -> int:
    return int(_status(pid)[1])


def state_of(pid: int) -> str:
    """The letter that Linux has for a process's state: R, S, D, T (stopped), Z."""
    return _status(pid)[0]


def _status(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
