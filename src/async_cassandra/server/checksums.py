"""Checking what was downloaded against what its repository publishes about it."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from async_cassandra.server.errors import NoCassandraError

if TYPE_CHECKING:
    import requests

# The strongest first. MD5, which repositories publish too, proves nothing.
ALGORITHMS = ("sha512", "sha256", "sha1")
# How repositories say that there is no such file; S3 says "forbidden".
NOT_THERE = (403, 404, 410)


def digest_of(path: Path, algorithm: str) -> str:
    """Return a file's checksum in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def spoken(algorithm: str) -> str:
    return f"SHA-{algorithm.removeprefix('sha')}"


class Checksums(Protocol):
    def check(self, file: Path, path: str) -> str:
        """Compare a file with its known checksum; return the algorithm.

        :param path: of the file within a repository
        :raises ~async_cassandra.server.NoCassandraError: if they differ, or nothing is known
        """


@dataclass(frozen=True)
class PinnedChecksums:
    """Checksums that come with this library.

    :param sha256: in hexadecimal, by the file's path within a repository
    """

    sha256: Mapping[str, str]

    def check(self, file: Path, path: str) -> str:
        if digest_of(file, "sha256") != self.sha256[path]:
            raise NoCassandraError(
                f"{file.name} is not what it was: its SHA-256 differs from the one in jars.txt"
            )
        return "sha256"


class PublishedChecksums:
    """The checksums that Maven repositories publish beside their files.

    Concurrency: any thread, several at once.

    :param session: keeps connections open
    :param repositories: addresses, in the order in which files are looked for
    :param timeout: seconds for each answer
    """

    def __init__(
        self, session: requests.Session, repositories: Iterable[str], timeout: float
    ) -> None:
        self._session = session
        self._repositories = tuple(repositories)
        self._timeout = timeout

    def check(self, file: Path, path: str) -> str:
        """Compare a file with the strongest checksum that is published; return its algorithm.

        :param path: of the file within a repository
        :raises ~async_cassandra.server.NoCassandraError: if they differ, or none is published
        :raises requests.RequestException: if a repository cannot be asked
        """
        for algorithm in ALGORITHMS:
            for repository in self._repositories:
                published = self._read(f"{repository}/{path}.{algorithm}", algorithm)
                if published is None:
                    continue
                if published != digest_of(file, algorithm):
                    raise NoCassandraError(
                        f"{file.name} is not what its repository says: its {spoken(algorithm)} "
                        "differs from the published one"
                    )
                return algorithm
        raise NoCassandraError(
            f"{file.name} cannot be checked: no repository publishes a SHA-512, SHA-256 or SHA-1 "
            "of it"
        )

    def _read(self, url: str, algorithm: str) -> str | None:
        """Return the checksum of one kind in one repository, None if it has none."""
        response = self._session.get(url, timeout=self._timeout)
        if response.status_code in NOT_THERE:
            return None
        response.raise_for_status()
        # Some tools write "DIGEST  name", others the digest alone.
        words = response.text.split()
        digest = words[0].lower() if words else ""
        size = hashlib.new(algorithm).digest_size * 2
        if len(digest) != size or not set(digest) <= set(string.hexdigits):
            raise NoCassandraError(f"{url.rpartition('/')[2]} in its repository is not a checksum")
        return digest
