"""A data folder that this process holds: everything made in it is in its list."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import Self

from async_cassandra.server.errors import ServerError
from async_cassandra.server.made import (
    FOLDERS,
    LIST_NAME,
    MADE_BY,
    Made,
    is_as_made,
    is_there,
    parse_made,
    remove_made,
)

# A process that asks whether the folder is held does hold it, for a moment.
HOLD_ATTEMPTS = 25
HOLD_INTERVAL = 0.02


class DataFolder:
    """A data folder, held until :meth:`release` or the end of the process.

    The folder was made or found empty, and has been a data folder since: anything else
    in it is somebody else's, and is neither used nor deleted.
    """

    def __init__(self, path: Path, file: int, made: Made) -> None:
        self.path = path
        self._file = file
        self._made = made

    @classmethod
    def hold(cls, path: Path, *, temporary: bool, own: bool = False) -> Self:
        """Take a data folder for this process, making it if necessary.

        :param temporary: whether the data must be deleted at the end
        :param own: whether the folder was just made for this server
        :raises ~async_cassandra.server.ServerError: if a server runs in it, if it has files and
            is not a data folder, if it has data to keep and ``temporary`` is set, or if
            it cannot be written
        """
        try:
            file, made_now = open_list(path)
            try:
                made = begin(path, file, made_now or own)
                if temporary and made.kept:
                    raise ServerError(
                        f"{path} has data that a server was told to keep: delete the folder "
                        "yourself, or use another for temporary data"
                    )
                append(file, {"pid": os.getpid(), "temporary": temporary})
            except BaseException:
                os.close(file)
                raise
        except OSError as error:
            raise ServerError(f"the data folder {path} cannot be used: {error}") from error
        return cls(path, file, made)

    def entry(self, name: str) -> Path:
        """Return the path of something that servers make here, and list it; folders are made.

        :raises ~async_cassandra.server.ServerError: if something else is there
        """
        path = self.path / name
        if name not in self._made.names:
            if is_there(path):
                raise ServerError(
                    f"{path} is not a server's: move it away, or take another data folder"
                )
            append(self._file, {"name": name})
            self._made = self._made._replace(names=(*self._made.names, name))
        elif is_there(path) and not is_as_made(path):
            raise ServerError(
                f"{path} is not what a server made there: move it away, or take another data folder"
            )
        if name in FOLDERS:
            path.mkdir(exist_ok=True)
        return path

    def remove(self) -> list[str]:
        """Delete what servers made here; return what could not be deleted, and why."""
        return remove_made(self.path)

    def release(self) -> None:
        """Give the folder up, also for processes that were forked from this one."""
        import fcntl

        fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)


def make_folder(path: Path) -> bool:
    """Make a folder unless it is there; return whether it was made."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def open_list(path: Path) -> tuple[int, bool]:
    """Open and lock a folder's list; return it, and whether the folder was made for it.

    :raises ~async_cassandra.server.ServerError: if a server runs there, or it is another's folder
    """
    while True:
        made_now = make_folder(path)
        try:
            file = open_file(path)
        except FileNotFoundError:
            continue  # another process deleted the folder, or its list, at this moment
        try:
            lock(file, path)
            if os.fstat(file).st_nlink > 0:
                return file, made_now
        except BaseException:
            os.close(file)
            raise
        os.close(file)  # another process deleted it before it was locked


def open_file(path: Path) -> int:
    """Open a folder's list; make an empty one if the folder is empty."""
    place = path / LIST_NAME
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    if not is_there(place):
        names = os.listdir(path)
        if not is_there(place):  # still: else another process just made list and entries
            refuse_files(path, names)
            flags |= os.O_CREAT
    file = os.open(place, flags, 0o644)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise not_ours(path, [LIST_NAME])
    return file


def lock(file: int, path: Path) -> None:
    import fcntl

    for attempt in range(1, HOLD_ATTEMPTS + 1):
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt == HOLD_ATTEMPTS:
                raise ServerError(f"a server runs already in {path}") from None
            time.sleep(HOLD_INTERVAL)
    raise AssertionError("unreachable")


def begin(path: Path, file: int, made_now: bool) -> Made:
    """Read a locked list, writing its first line if it is empty.

    :raises ~async_cassandra.server.ServerError: if the file is not a list
    """
    content = read(file)
    if not content:
        refuse_files(path, [name for name in os.listdir(path) if name != LIST_NAME])
        append(file, {"made by": MADE_BY, "folder made": made_now})
    elif parse_made(content) is not None and not content.endswith(b"\n"):
        os.write(file, b"\n")  # an interrupted run cut its last line short
    made = parse_made(read(file))
    if made is None:
        raise not_ours(path, [LIST_NAME])
    return made


def read(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


def refuse_files(path: Path, names: list[str]) -> None:
    if names:
        raise not_ours(path, names)


def not_ours(path: Path, names: list[str]) -> ServerError:
    shown = ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")
    return ServerError(
        f"{path} is not empty and is not a server's data folder (it has {shown}): "
        "use an empty folder, or one that does not exist"
    )


def append(file: int, line: dict[str, object]) -> None:
    os.write(file, json.dumps(line).encode() + b"\n")
