"""A data folder: a server uses and deletes what servers made in it, and nothing else."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from async_cassandra.server import CassandraServer, ServerError
from async_cassandra.server.__main__ import main
from async_cassandra.server.data_folder import DataFolder
from async_cassandra.server.made import (
    FILES,
    FOLDERS,
    LIST_NAME,
    remove_entry,
    remove_node,
)
from async_cassandra.server.state import read_record, running_pid

MADE = sorted(FOLDERS | FILES)
LIKE_MADE = [
    "node0",
    "node10",
    "node1.bak",
    "nodes",
    "NODE1",
    "server",
    "server.conf",
    "server.lock",
    "server.pid",
    "server.made.old",
    "tls.key",
    ".hidden",
    "notes.txt",
]
KINDS = ["file", "folder", "link to file", "link to folder", "link to nothing", "pipe"]

type Tree = dict[str, tuple[int, bytes]]


def tree(folder: Path) -> Tree:
    """Everything in a folder, by its path: kind, and content or target."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        mode = os.lstat(path).st_mode
        content = b""
        if path.is_symlink():
            content = os.readlink(path).encode()
        elif path.is_file():
            content = path.read_bytes()
        found[str(path.relative_to(folder))] = (mode, content)
    return found


def put(path: Path, kind: str, outside: Path) -> None:
    """Put something there that is not a server's."""
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
        (path / "precious").write_text("precious")
    elif kind == "link to file":
        path.symlink_to(outside / "file")
    elif kind == "link to folder":
        path.symlink_to(outside)
    elif kind == "link to nothing":
        path.symlink_to(outside / "missing")
    else:
        os.mkfifo(path)


def fill(folder: DataFolder, names: list[str]) -> None:
    """Make entries as a server does, with something in each."""
    for name in names:
        path = folder.entry(name)
        target = path / "data" / "file" if path.is_dir() else path
        target.parent.mkdir(exist_ok=True)
        target.write_text("made")


def places(root: Path) -> tuple[Path, Path]:
    outside, data = root / "outside", root / "beside" / "data"
    outside.mkdir()
    (outside / "file").write_text("precious")
    data.mkdir(parents=True)
    for name in LIKE_MADE:
        put(data.parent / name, "file", outside)
    return outside, data


@pytest.fixture
def outside_and_data(tmp_path: Path) -> tuple[Path, Path]:
    return places(tmp_path)


foreign = st.dictionaries(st.sampled_from([*MADE, *LIKE_MADE]), st.sampled_from(KINDS))


@settings(max_examples=60, deadline=None)
@given(foreign=foreign.filter(bool), temporary=st.booleans())
def test_folder_with_other_files_is_refused_and_left(
    foreign: dict[str, str], temporary: bool
) -> None:
    with tempfile.TemporaryDirectory() as root:
        outside, data = places(Path(root))
        for name, kind in foreign.items():
            put(data / name, kind, outside)
        before = tree(Path(root))
        with pytest.raises(ServerError, match="is not empty and is not a server's data folder"):
            DataFolder.hold(data, temporary=temporary)
        assert running_pid(data) is None
        assert read_record(data) is None
        assert tree(Path(root)) == before


@settings(max_examples=60, deadline=None)
@given(
    made=st.lists(st.sampled_from(MADE), unique=True),
    foreign=foreign,
    inside=st.sampled_from(KINDS[2:5]),
)
def test_removal_leaves_everything_that_was_not_made(
    made: list[str], foreign: dict[str, str], inside: str
) -> None:
    with tempfile.TemporaryDirectory() as root:
        outside, data = places(Path(root))
        before = tree(Path(root))
        folder = DataFolder.hold(data, temporary=True)
        fill(folder, made)
        for name in FOLDERS.intersection(made):
            put(data / name / "link", inside, outside)
        for name, kind in foreign.items():
            if name not in made:
                put(data / name, kind, outside)
                before |= {
                    str(path.relative_to(root)): found
                    for path, found in (
                        (data / below, found)
                        for below, found in tree(data).items()
                        if below == name or below.startswith(f"{name}/")
                    )
                }
        assert folder.remove() == []
        folder.release()
        assert tree(Path(root)) == dict(sorted(before.items()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MADE)
def test_name_that_is_taken_is_neither_used_nor_deleted(
    name: str, kind: str, outside_and_data: tuple[Path, Path], tmp_path: Path
) -> None:
    outside, data = outside_and_data
    folder = DataFolder.hold(data, temporary=True)
    put(data / name, kind, outside)
    kept = tree(tmp_path)
    del kept[str((data / LIST_NAME).relative_to(tmp_path))]
    with pytest.raises(ServerError, match="is not a server's"):
        folder.entry(name)
    assert folder.remove() == []
    folder.release()
    assert tree(tmp_path) == kept


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name, kind in itertools.product(MADE, KINDS)
        if kind != ("folder" if name in FOLDERS else "file")
    ],
)
def test_what_took_the_place_of_an_entry_is_neither_used_nor_deleted(
    name: str, kind: str, outside_and_data: tuple[Path, Path], tmp_path: Path
) -> None:
    outside, data = outside_and_data
    folder = DataFolder.hold(data, temporary=True)
    folder.entry(name)
    if name in FOLDERS:
        (data / name).rmdir()
    put(data / name, kind, outside)
    kept = tree(tmp_path)
    del kept[str((data / LIST_NAME).relative_to(tmp_path))]
    with pytest.raises(ServerError, match="is not what a server made there"):
        folder.entry(name)
    assert folder.remove() == []
    folder.release()
    assert tree(tmp_path) == kept


@pytest.mark.parametrize("kind", ["file", "link to file", "link to folder", "folder", "pipe"])
def test_list_of_somebody_else_is_left(
    kind: str, outside_and_data: tuple[Path, Path], tmp_path: Path
) -> None:
    outside, data = outside_and_data
    put(data / LIST_NAME, kind, outside)
    before = tree(tmp_path)
    with pytest.raises(ServerError, match=r"not a server's data folder|cannot be used"):
        DataFolder.hold(data, temporary=True)
    assert running_pid(data) is None
    assert tree(tmp_path) == before


def test_folder_that_was_made_goes_and_one_that_was_given_stays(tmp_path: Path) -> None:
    for name, exists in [("given", True), ("made", False)]:
        data = tmp_path / name
        if exists:
            data.mkdir()
        folder = DataFolder.hold(data, temporary=True)
        fill(folder, MADE)
        assert folder.remove() == []
        folder.release()
        assert data.exists() is exists


def test_data_that_were_to_be_kept_are_not_deleted_by_a_temporary_run(tmp_path: Path) -> None:
    folder = DataFolder.hold(tmp_path, temporary=False)
    fill(folder, ["node1"])
    folder.release()
    before = tree(tmp_path)
    with pytest.raises(ServerError, match="was told to keep"):
        DataFolder.hold(tmp_path, temporary=True)
    assert running_pid(tmp_path) is None
    assert tree(tmp_path) == before


def test_interrupted_run_leaves_nothing_foreign_and_nothing_behind(tmp_path: Path) -> None:
    """Its list may end anywhere: what it made before that is used, and deleted, by the next run."""
    data = tmp_path / "data"
    folder = DataFolder.hold(data, temporary=True)
    fill(folder, MADE)
    folder.release()
    content = (data / LIST_NAME).read_bytes()
    first = content.index(b"\n") + 1
    for size in range(first, len(content) + 1, 5):
        (data / LIST_NAME).write_bytes(content[:size])
        for name in MADE:  # an entry is made once its whole line is in the list
            if f'"name": "{name}"}}'.encode() not in content[:size]:
                remove_entry(data / name)
        folder = DataFolder.hold(data, temporary=True)
        fill(folder, MADE)
        folder.release()
    folder = DataFolder.hold(data, temporary=True)
    assert folder.remove() == []
    folder.release()
    assert not data.exists()


def hold_or_reason(path: Path) -> DataFolder | str:
    try:
        return DataFolder.hold(path, temporary=True)
    except ServerError as error:
        return str(error)


def test_one_of_many_holds_a_folder(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)

    def hold(_: int) -> DataFolder | str:
        barrier.wait()
        return hold_or_reason(tmp_path / "data")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(hold, range(8)))
    holders = [answer for answer in answers if isinstance(answer, DataFolder)]
    assert len(holders) == 1
    assert all("runs already" in answer for answer in answers if isinstance(answer, str))
    assert running_pid(tmp_path / "data") == os.getpid()
    holders[0].release()
    assert running_pid(tmp_path / "data") is None


def test_folders_that_come_and_go_are_held_by_one_at_a_time(tmp_path: Path) -> None:
    inside = itertools.count()
    data, holding = tmp_path / "data", threading.Lock()

    def use(_: int) -> int:
        folder = hold_or_reason(data)
        if isinstance(folder, str):
            assert "runs already" in folder
            return 0
        assert holding.acquire(blocking=False)
        fill(folder, ["node1", "server.json"])
        running_pid(data)
        next(inside)
        # Its list is what goes last, and with it the folder is free for the next one.
        holding.release()
        assert folder.remove() == []
        folder.release()
        return 1

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(use, range(120))) == next(inside) > 0
    assert not data.exists() or tree(data) == {}


def test_asking_who_holds_a_folder_does_not_keep_others_from_it(tmp_path: Path) -> None:
    DataFolder.hold(tmp_path, temporary=True).release()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            assert running_pid(tmp_path) in (None, os.getpid())

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            for _ in range(200):
                DataFolder.hold(tmp_path, temporary=True).release()
        finally:
            stop.set()
        asking.result()


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody for a while: root deletes anything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


def test_what_cannot_be_deleted_is_said_and_stays_listed() -> None:
    with tempfile.TemporaryDirectory() as root:
        Path(root).chmod(0o777)
        folder = DataFolder.hold(Path(root), temporary=True)
        fill(folder, ["node1"])
        (Path(root) / "node1").chmod(0o500)
        with unprivileged():
            (problem,) = folder.remove()
        (Path(root) / "node1").chmod(0o700)
        assert "node1 could not be deleted" in problem
        assert folder.remove() == []
        folder.release()
        assert tree(Path(root)) == {}


def test_last_node_of_a_killed_owner_deletes_the_rest_but_no_foreign_file(tmp_path: Path) -> None:
    folder = DataFolder.hold(tmp_path / "data", temporary=True)
    fill(folder, ["node1", "node2", "server.json"])
    folder.release()
    put(tmp_path / "data" / "node3", "folder", tmp_path)
    remove_node(tmp_path / "data" / "node3")
    remove_node(tmp_path / "data" / "node1")
    assert (tmp_path / "data" / "server.json").exists()
    remove_node(tmp_path / "data" / "node2")
    assert sorted(tree(tmp_path / "data")) == ["node3", "node3/precious"]


@pytest.fixture
def foreign_folder(outside_and_data: tuple[Path, Path]) -> Iterator[Path]:
    """A folder of somebody else's, whose ``server.lock`` another program holds."""
    outside, data = outside_and_data
    names = [name for name in (*MADE, *LIKE_MADE) if name != "server.lock"]
    for name, kind in zip(names, itertools.cycle(KINDS[:5]), strict=False):
        put(data / name, kind, outside)
    program = (
        "import fcntl, os, sys; file = open(sys.argv[1], 'w'); file.write(str(os.getpid())); "
        "file.flush(); fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(data / "server.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield data
        assert other.poll() is None, "the command ended another's process"
        other.communicate("\n")


@pytest.mark.parametrize("words", [["status"], ["stop"]])
def test_command_finds_no_server_in_a_foreign_folder(
    words: list[str], foreign_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(foreign_folder)
    main([*words, "--data", str(foreign_folder)])
    assert "no server runs in" in capsys.readouterr().out
    assert tree(foreign_folder) == before


@pytest.mark.parametrize("temporary", [True, False])
def test_server_does_not_start_in_a_foreign_folder(foreign_folder: Path, temporary: bool) -> None:
    before = tree(foreign_folder)
    server = CassandraServer(data=foreign_folder, temporary=temporary, port=0)
    with pytest.raises(ServerError, match="use an empty folder"):
        server.start()
    server.stop()
    assert tree(foreign_folder) == before


def test_killed_holder_leaves_the_folder_to_the_next(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from async_cassandra.server.data_folder import DataFolder\n"
        "folder = DataFolder.hold(Path(sys.argv[1]), temporary=True)\n"
        "folder.entry('node1'); print('held', flush=True); input()"
    )
    data = tmp_path / "data"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert running_pid(data) == holder.pid
        with pytest.raises(ServerError, match="runs already"):
            DataFolder.hold(data, temporary=True)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert running_pid(data) is None
    folder = DataFolder.hold(data, temporary=True)
    assert folder.remove() == []
    folder.release()
    assert not data.exists()
