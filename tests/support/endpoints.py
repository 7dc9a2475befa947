"""Ways to a node other than the address by which its neighbours know it."""

from typing import Any

from cassandra.connection import EndPoint, EndPointFactory
from cassandra.policies import AddressTranslator

SECOND = "127.0.4.42"


class Inside(AddressTranslator):
    def translate(self, addr: str) -> str:
        return SECOND if addr == "10.9.9.9" else addr


class Named(EndPoint):
    """An endpoint whose address is a name that only it can resolve."""

    def __init__(self, name: str, port: int) -> None:
        self.name, self._port = name, port

    @property
    def address(self) -> str:
        return self.name

    @property
    def port(self) -> int:
        return self._port

    def resolve(self) -> tuple[str, int]:
        return SECOND, self._port

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __lt__(self, other: Any) -> bool:
        return bool(self.name < other.name)

    def __str__(self) -> str:
        return self.name


class NamedFactory(EndPointFactory):
    def create(self, row: dict[str, Any]) -> EndPoint:
        return Named("second", row.get("native_port") or row["peer_port"])
