"""Column encryption policies for tests: the driver's, for any type, and ones that misbehave."""

from __future__ import annotations

from typing import Any

from cassandra.column_encryption.policies import AES256ColumnEncryptionPolicy
from cassandra.policies import ColDesc

from async_cassandra._driver.types import driver_type
from async_cassandra._wire.cqltypes import parse_class_name

__all__ = ["IV", "KEY", "OTHER_KEY", "AnyType", "Reversing", "aes"]

KEY = b"key of 256 bits, kept secret: 1."
OTHER_KEY = b"key of 256 bits, kept secret: 2."
# Equal values are to be equal bytes, so that WHERE finds them.
IV = bytes(range(16))


class AnyType(AES256ColumnEncryptionPolicy):  # type: ignore[misc]
    """The driver's, whose columns may also be of nested types, which it knows no names of."""

    def __init__(self, iv: bytes | None = IV) -> None:
        super().__init__(iv)
        self.types: dict[Any, Any] = {}

    def add(self, keyspace: str, table: str, name: str, kind: str, key: bytes = KEY) -> None:
        """Have a column of the type with this marshal class name encrypted."""
        column = ColDesc(keyspace, table, name)
        self.add_column(column, key, "blob")
        # The one that keys of maps are to have, which tests compare.
        self.types[column] = driver_type(parse_class_name(kind))

    def column_type(self, coldesc: Any) -> Any:
        return self.types[coldesc]


class Reversing:
    """A policy that inherits nothing: its columns' bytes are turned round.

    :param columns: the names of its columns, of any table, and the driver's classes of their types
    """

    def __init__(self, **columns: Any) -> None:
        self.columns = columns

    def contains_column(self, coldesc: Any) -> bool:
        return coldesc.col in self.columns

    def column_type(self, coldesc: Any) -> Any:
        return self.columns[coldesc.col]

    def encrypt(self, coldesc: Any, obj_bytes: bytes) -> Any:
        return b"?" + obj_bytes[::-1]

    def decrypt(self, coldesc: Any, encrypted_bytes: bytes) -> Any:
        if encrypted_bytes[:1] != b"?":
            raise ValueError(f"these are not mine: {encrypted_bytes!r}")
        return encrypted_bytes[:0:-1]


def aes(keyspace: str, table: str, **types: str) -> Any:
    """The driver's own policy for a table's columns of these CQL types."""
    policy = AES256ColumnEncryptionPolicy(IV)
    for name, cql_type in types.items():
        policy.add_column(ColDesc(keyspace, table, name), KEY, cql_type)
    return policy
