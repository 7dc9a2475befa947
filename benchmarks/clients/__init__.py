"""The clients that are compared; each module imports its library, so import it in its environment."""

from dataclasses import dataclass
from importlib import import_module
from typing import Final

from benchmarks.clients.base import Client

__all__ = ["ENTRANTS", "FLOOR", "LIBRARY", "LOOPS", "Entrant"]

LOOPS: Final = ("asyncio", "uvloop")
FLOOR: Final = "floor"
LIBRARY: Final = "async-cassandra"
OLDER: Final = "async-cassandra-0.0.1"
DRIVER: Final = "cassandra-driver"
ACSYLLA: Final = "acsylla"
SCYLLAPY: Final = "scyllapy"
SCYLLA_DRIVER: Final = "scylla-driver"


@dataclass(frozen=True)
class Entrant:
    """A client of the comparison.

    :ivar module: where in this package its class ``BenchmarkClient`` is
    :ivar requirements: which lock in ``benchmarks/requirements`` its environment is made of
    :ivar is_this: it is the checkout, not a package
    """

    name: str
    module: str
    requirements: str
    is_this: bool = False

    def load(self) -> type[Client]:
        """Import the client's class, and with it its library."""
        module = import_module(f"benchmarks.clients.{self.module}")
        client: type[Client] = module.BenchmarkClient
        return client


ENTRANTS: Final = {
    entrant.name: entrant
    for entrant in (
        Entrant(FLOOR, "floor_client", "floor"),
        Entrant(LIBRARY, "library_client", "cassandra-driver", is_this=True),
        Entrant(ACSYLLA, "acsylla_client", "acsylla"),
        Entrant(SCYLLAPY, "scyllapy_client", "scyllapy"),
        Entrant(DRIVER, "driver_client", "cassandra-driver"),
        Entrant(SCYLLA_DRIVER, "driver_client", "scylla-driver"),
        Entrant(OLDER, "older_client", "async-cassandra-0.0.1"),
    )
}
