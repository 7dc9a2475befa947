"""Jars come from a repository on this machine: what is not what it says is never used."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from async_cassandra.server import NoCassandraError
from async_cassandra.server.distribution import (
    DEFAULT_VERSION,
    PinnedJar,
    cached_jars,
    get_distribution,
    pinned_jars,
)
from tests.support.maven_repository import NEEDED, SERVER, VERSION, Repository, served

type Serve = Callable[[Repository], None]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Let a repository be the one that jgo is told of, with an empty cache."""
    with contextlib.ExitStack() as stack:

        def start(repository: Repository) -> None:
            settings = tmp_path / "jgo.conf"
            address = stack.enter_context(served(repository))
            settings.write_text(f"[repositories]\ncentral = {address}\n")
            monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
            monkeypatch.setenv("ASYNC_CASSANDRA_CACHE", str(tmp_path / "cache"))

        yield start


@pytest.mark.parametrize(
    ("published", "said"),
    [
        (("sha512", "sha256", "sha1", "md5"), "SHA-512"),
        (("sha256", "sha1", "md5"), "SHA-256"),
        (("sha1", "md5"), "SHA-1"),
        (("sha512",), "SHA-512"),
    ],
)
def test_strongest_published_checksum_is_used_and_said(
    published: tuple[str, ...], said: str, serve: Serve
) -> None:
    repository = Repository(published)
    serve(repository)
    lines: list[str] = []
    found = get_distribution(VERSION, lines.append)
    assert [jar.name for jar in found.jars] == [f"cassandra-all-{VERSION}.jar", "needed-1.0.jar"]
    assert [jar.read_bytes() for jar in found.jars] == [
        repository.files[f"{SERVER}.jar"],
        repository.files[f"{NEEDED}.jar"],
    ]
    assert lines[-1].endswith(f"checked: 2 jars by {said}")


@pytest.mark.parametrize("published", [("md5",), ()])
def test_file_without_a_checksum_worth_the_name_is_refused(
    published: tuple[str, ...], serve: Serve, tmp_path: Path
) -> None:
    repository = Repository(("sha512",))
    repository.put(f"{NEEDED}.jar", b"unproven", published)
    del repository.files[f"{NEEDED}.jar.sha512"]
    serve(repository)
    with pytest.raises(NoCassandraError, match=r"needed-1\.0\.jar cannot be checked"):
        get_distribution(VERSION, lambda line: None)
    assert not list((tmp_path / "cache").rglob("needed*"))


@pytest.mark.parametrize("kind", ["jar", "pom"])
@pytest.mark.parametrize("name", [SERVER, NEEDED])
@pytest.mark.parametrize("damage", ["changed", "truncated", "checksum", "no checksum", "status"])
def test_download_that_is_not_what_was_published_is_refused(
    kind: str, name: str, damage: str, serve: Serve, tmp_path: Path
) -> None:
    """A weaker checksum that fits does not help: the strongest one counts."""
    repository = Repository(("sha512", "sha1"))
    path = f"{name}.{kind}"
    content = repository.files[path]
    if damage == "changed":
        repository.files[path] = content[:-9].replace(b"e", b"f") + content[-9:]
    elif damage == "truncated":
        repository.files[path] = content[:-1] if kind == "jar" else content + b"\n"
    elif damage == "checksum":
        repository.files[f"{path}.sha512"] = b"0" * 128
    elif damage == "no checksum":
        repository.files[f"{path}.sha512"] = b"<html>please log in</html>"
    else:
        repository.statuses[f"{path}.sha512"] = 500
    serve(repository)
    with pytest.raises(NoCassandraError, match="could not be downloaded"):
        get_distribution(VERSION, lambda line: None)
    left = {found.name for found in (tmp_path / "cache").rglob("*") if found.is_file()}
    assert left <= {"lock", Path(f"{SERVER}.jar").name, Path(f"{NEEDED}.jar").name} - {
        Path(path).name
    }


def flip(jar: Path) -> None:
    """Change one bit, and neither size nor times."""
    status = jar.stat()
    content = bytearray(jar.read_bytes())
    content[len(content) // 2] ^= 1
    jar.write_bytes(content)
    os.utime(jar, ns=(status.st_atime_ns, status.st_mtime_ns))


def truncate(jar: Path) -> None:
    jar.write_bytes(jar.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
def test_damaged_jar_of_the_cache_is_fetched_again(
    damage: Callable[[Path], None], serve: Serve
) -> None:
    repository = Repository(("sha256",))
    serve(repository)
    jars = get_distribution(VERSION, lambda line: None).jars
    repository.asked.clear()
    assert get_distribution(VERSION, lambda line: None).jars == jars
    assert repository.asked == []
    damage(jars[1])
    assert get_distribution(VERSION, lambda line: None).jars == jars
    assert f"{NEEDED}.jar" in repository.asked
    assert f"{SERVER}.jar" not in repository.asked
    assert jars[1].read_bytes() == repository.files[f"{NEEDED}.jar"]


def test_damaged_jar_of_the_cache_is_not_used_when_nothing_can_be_fetched(serve: Serve) -> None:
    repository = Repository(("sha256",))
    serve(repository)
    jars = get_distribution(VERSION, lambda line: None).jars
    flip(jars[0])
    repository.files.clear()
    with pytest.raises(NoCassandraError, match="set CASSANDRA_CONTACT_POINTS"):
        get_distribution(VERSION, lambda line: None)


def test_foreign_files_in_the_cache_folder_are_left(serve: Serve, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    mine = [
        cache / "maven" / "pom.xml",
        cache / "maven" / "org" / "example" / "needed" / "1.0" / "needed-1.0.pom",
        cache / "download-mine" / "file",
        cache / "notes.txt",
    ]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("precious")
    serve(Repository(("sha256",)))
    jars = get_distribution(VERSION, lambda line: None).jars
    flip(jars[0])
    get_distribution(VERSION, lambda line: None)
    assert [path.read_text() for path in mine] == ["precious"] * len(mine)
    assert [found.name for found in cache.glob("download-*")] == ["download-mine"]


def serve_default_version(serve: Serve, tmp_path: Path) -> tuple[Repository, PinnedJar]:
    """A repository that has the default version's smallest jar, and a cache without it."""
    smallest = min(pinned_jars(DEFAULT_VERSION), key=lambda jar: jar.size)
    whole = get_distribution()
    repository = Repository(())
    serve(repository)
    for jar, pinned in zip(whole.jars, pinned_jars(DEFAULT_VERSION), strict=True):
        copy = tmp_path / "cache" / "maven" / pinned.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if pinned == smallest:
            repository.put(pinned.path, jar.read_bytes(), ("sha512",))
        else:
            copy.symlink_to(jar)
    return repository, smallest


def test_default_version_is_checked_by_the_list(serve: Serve, tmp_path: Path) -> None:
    repository, pinned = serve_default_version(serve, tmp_path)
    lines: list[str] = []
    get_distribution(DEFAULT_VERSION, lines.append)
    jar = tmp_path / "cache" / "maven" / pinned.path
    assert lines[-1].endswith(f"checked: {len(pinned_jars(DEFAULT_VERSION))} jars by SHA-256")
    flip(jar)
    assert cached_jars(tmp_path / "cache", DEFAULT_VERSION) is None
    get_distribution(DEFAULT_VERSION, lines.append)
    assert jar.read_bytes() == repository.files[pinned.path]


def test_default_version_is_not_what_its_repository_says(serve: Serve, tmp_path: Path) -> None:
    """A repository that was taken over publishes checksums that fit."""
    repository, pinned = serve_default_version(serve, tmp_path)
    repository.put(pinned.path, b"evil", ("sha512", "sha256", "sha1"))
    with pytest.raises(NoCassandraError, match=r"differs from the one in jars\.txt"):
        get_distribution(DEFAULT_VERSION, lambda line: None)
    assert not (tmp_path / "cache" / "maven" / pinned.path).exists()
