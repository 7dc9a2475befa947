"""A server as tests see it, whoever started it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from async_cassandra.server._cql import CqlConnection, Row
from async_cassandra.server.errors import CqlError, NoCassandraError

DEFAULT_PORT = 9042


class RunningServer(Protocol):
    """The interface of every server: of a ``CassandraServer`` and of an :class:`ExistingServer`."""

    @property
    def contact_points(self) -> list[str]: ...

    @property
    def port(self) -> int: ...

    @property
    def username(self) -> str | None: ...

    @property
    def password(self) -> str | None: ...

    def ssl_context(self) -> ssl.SSLContext | None: ...

    def execute(self, cql: str) -> list[Row]: ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class ExistingServer:
    """A Cassandra that somebody else runs. :meth:`stop` leaves it alone."""

    contact_points: list[str]
    port: int = DEFAULT_PORT
    username: str | None = None
    password: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ExistingServer:
        """Read ``CASSANDRA_CONTACT_POINTS``, ``_PORT``, ``_USERNAME`` and ``_PASSWORD``.

        :raises ~async_cassandra.server.NoCassandraError: if they name no server
        """
        names = environment.get("CASSANDRA_CONTACT_POINTS", "").split(",")
        points = [name.strip() for name in names if name.strip()]
        port = environment.get("CASSANDRA_PORT") or str(DEFAULT_PORT)
        if not points:
            raise NoCassandraError("CASSANDRA_CONTACT_POINTS names no address")
        if not port.isdigit() or not 0 < int(port) < 65536:
            raise NoCassandraError(f"CASSANDRA_PORT is not a port: {port!r}")
        return cls(
            points,
            int(port),
            environment.get("CASSANDRA_USERNAME"),
            environment.get("CASSANDRA_PASSWORD"),
        )

    def ssl_context(self) -> ssl.SSLContext | None:
        return None

    def execute(self, cql: str) -> list[Row]:
        """Run one statement on the first contact point.

        :raises ~async_cassandra.server.CqlError: if the server refuses it
        :raises OSError: if it cannot be reached
        """
        with CqlConnection(
            self.contact_points[0],
            self.port,
            username=self.username,
            password=self.password,
            timeout=30.0,
        ) as connection:
            return connection.query(cql)

    def check(self) -> None:
        """Make sure that the server answers.

        :raises ~async_cassandra.server.NoCassandraError: if it does not
        """
        try:
            self.execute("SELECT release_version FROM system.local")
        except (OSError, CqlError) as error:
            where = f"{self.contact_points[0]}:{self.port}"
            raise NoCassandraError(
                f"CASSANDRA_CONTACT_POINTS names {where}, where no Cassandra answers ({error}). "
                "Start it, or unset the variable and let the test run start its own."
            ) from error

    def stop(self) -> None:
        """Leave the server running: it is not ours."""
