"""The interface through which codecs ask about columns that the client encrypts."""

from typing import Any, Protocol

from async_cassandra._wire.cqltypes import CqlType


class Encryption(Protocol):
    """Asked for every value; each method may raise ValueError, whose message quotes no value.

    A column is identified by its keyspace, its table and its name.
    """

    def described(self, keyspace: str, table: str, name: str) -> Any:
        """Return what ``encrypt`` and ``decrypt`` accept for a column."""

    def value_type(self, keyspace: str, table: str, name: str) -> CqlType | None:
        """Return the type of an encrypted column's values; ``None`` if the column is not encrypted."""

    def check_plain(
        self, keyspace: str, table: str, name: str, cql_type: CqlType, is_marker: bool
    ) -> None:
        """Refuse a parameter that is not encrypted but may have to be.

        :param is_marker: whether its name is its marker's, and not the server's for its column
        """

    def encrypt(self, described: Any, plain: bytes) -> bytes:
        """Return what is sent for an encoded value."""

    def decrypt(self, described: Any, data: bytes) -> bytes:
        """Return the encoded value for what was received."""
