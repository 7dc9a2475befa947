"""What the codecs ask of whatever knows the columns that the client encrypts."""

from typing import Any, Protocol

from async_cassandra._wire.cqltypes import CqlType


class Encryption(Protocol):
    """Asked at every value; each method may raise ValueError, whose text quotes no value.

    A column is told by its keyspace, its table and its name.
    """

    def described(self, keyspace: str, table: str, name: str) -> Any:
        """What ``encrypt`` and ``decrypt`` take for a column."""

    def value_type(self, keyspace: str, table: str, name: str) -> CqlType | None:
        """The type of an encrypted column's values; ``None`` if the column is not encrypted."""

    def check_plain(
        self, keyspace: str, table: str, name: str, cql_type: CqlType, is_marker: bool
    ) -> None:
        """Refuse a parameter that is not encrypted and could have to be.

        :param is_marker: whether its name is its marker's, and not the server's for its column
        """

    def encrypt(self, described: Any, plain: bytes) -> bytes:
        """What is sent for an encoded value."""

    def decrypt(self, described: Any, data: bytes) -> bytes:
        """The encoded value, from what came."""
