"""The list of what servers made in a data folder, which is all that they delete there.

The list is a file in the folder, one JSON object a line, and is only ever added to. Each name is
in it before the entry is made, so that a run which is interrupted anywhere leaves nothing that the
next one takes for somebody else's. Standard library only: guard.py loads this file by its path.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any, NamedTuple

LIST_NAME = "server.made"
MADE_BY = "async_cassandra.server"

# All that servers ever make directly in a data folder.
FOLDERS = frozenset({*(f"node{number}" for number in range(1, 10)), "tls"})
FILES = frozenset({"server.json", "server.json.partial", "server.log"})


class Made(NamedTuple):
    """A data folder's list.

    :param folder: whether the folder itself was made by a server
    :param kept: whether a server was to keep its data here
    :param pid: of the process that held the folder last
    :param names: of the entries that servers made
    """

    folder: bool
    kept: bool
    pid: int | None
    names: tuple[str, ...]


def read_made(folder: Path) -> Made | None:
    """Return a folder's list; None if there is none, or a file with that name that is not a list."""
    try:
        file = os.open(folder / LIST_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        status = os.fstat(file)
        return (
            parse_made(os.pread(file, status.st_size, 0)) if stat.S_ISREG(status.st_mode) else None
        )
    finally:
        os.close(file)


def parse_made(content: bytes) -> Made | None:
    """Read a list, ignoring a last line that was cut short."""
    lines = [parse_line(line) for line in content.split(b"\n")[:-1]]
    if not lines or lines[0].get("made by") != MADE_BY:
        return None
    names = [line["name"] for line in lines if line.get("name") in FOLDERS | FILES]
    pids = [line["pid"] for line in lines if isinstance(line.get("pid"), int)]
    return Made(
        folder=lines[0].get("folder made") is True,
        kept=any(line.get("temporary") is False for line in lines),
        pid=pids[-1] if pids else None,
        names=tuple(dict.fromkeys(names)),
    )


def parse_line(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def is_there(path: Path) -> bool:
    """Whether something with that name exists, even a symbolic link to nowhere."""
    return os.path.lexists(path)


def is_as_made(path: Path) -> bool:
    """Whether an entry is of the kind that a server makes by its name; a link never is."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(mode) if path.name in FOLDERS else stat.S_ISREG(mode)


def remove_entry(path: Path) -> None:
    """Delete one entry of a list; what stands in its place and is of another kind is left.

    Links inside are deleted, what they lead to is not.

    :raises OSError: if something in it cannot be deleted
    """
    if not is_as_made(path):
        return
    with contextlib.suppress(FileNotFoundError):
        if path.name in FOLDERS:
            shutil.rmtree(path)
        else:
            path.unlink()


def remove_made(folder: Path) -> list[str]:
    """Delete what servers made in a folder, and the folder if they made it and nothing is left.

    Returns what could not be deleted, and why; the list is kept then.
    """
    made = read_made(folder)
    problems = []
    for name in made.names if made is not None else ():
        try:
            remove_entry(folder / name)
        except OSError as error:
            problems.append(f"{folder / name} could not be deleted: {error}")
    if made is not None and not problems:
        (folder / LIST_NAME).unlink(missing_ok=True)
        if made.folder:
            with contextlib.suppress(OSError):
                folder.rmdir()
    return problems


def remove_node(node: Path) -> None:
    """Delete the folder of a node that has ended, and the server's rest if it was the last one."""
    folder = node.parent
    made = read_made(folder)
    if made is None or node.name not in made.names:
        return
    with contextlib.suppress(OSError):
        remove_entry(node)
    if not any(is_there(folder / name) for name in made.names if name.startswith("node")):
        remove_made(folder)
