"""The driver's column encryption policies: which columns they have, and what they do to bytes.

A policy is the user's code and knows keys and plain text: if it raises, only the class is reported.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from cassandra.policies import ColDesc, ColumnEncryptionPolicy

from async_cassandra._driver.types import cql_type_of
from async_cassandra._wire.cqltypes import CqlType
from async_cassandra.exceptions import ConfigurationError

# What is called here; the driver's base class has no ``column_type``.
_METHODS = ("contains_column", "column_type", "encrypt", "decrypt")
# As the server names the parameters of ``c IN ?``, ``m[?]`` and ``m CONTAINS ?``.
_OF_A_COLUMN = re.compile(r"(?:in|key|value)\((.+)\)", re.DOTALL)
# Of anything else, as ``[limit]``, ``arg0(system.token)`` and ``in(a,b)``.
_NO_COLUMN = re.compile(r"[\[(,]")


class Policy(Protocol):
    """The methods that a policy must have; the driver's ``AES256ColumnEncryptionPolicy`` has them."""

    def contains_column(self, coldesc: Any) -> bool: ...
    def column_type(self, coldesc: Any) -> Any: ...
    def encrypt(self, coldesc: Any, obj_bytes: bytes) -> bytes: ...
    def decrypt(self, coldesc: Any, encrypted_bytes: bytes) -> bytes: ...


class ColumnEncryption:
    """A policy that the codecs ask for every value: it may have got a column, type or key since.

    Concurrency: the policy is called on the loop, and must not block.

    :param policy: the driver's, or one with the same methods
    :param columns_of: each column of a keyspace's table and its CQL type; ``None`` where not known
    :raises ~async_cassandra.exceptions.ConfigurationError: if the policy lacks a method
    """

    def __init__(
        self, policy: Policy, columns_of: Callable[[str, str], Mapping[str, str] | None]
    ) -> None:
        _check(policy)
        self.policy = policy
        self._columns_of = columns_of

    def described(self, keyspace: str, table: str, name: str) -> Any:
        """Return the policy's description of a column."""
        return ColDesc(keyspace, table, name)

    def value_type(self, keyspace: str, table: str, name: str) -> CqlType | None:
        """Return the type of an encrypted column's values; ``None`` if the column is not encrypted.

        :raises ValueError: if the policy raises, or the type cannot be encoded
        """
        if not self._contains(keyspace, table, name):
            return None
        driver_class = self._call("column_type", ColDesc(keyspace, table, name))
        try:
            return cql_type_of(driver_class)
        except TypeError as error:
            raise ValueError(f"column_encryption_policy.column_type(): {error}") from None

    def check_plain(
        self, keyspace: str, table: str, name: str, cql_type: CqlType, is_marker: bool
    ) -> None:
        """Refuse a parameter whose name is not a column's and that could be an encrypted column's value.

        The server names a parameter after its column if it is a plain ``?``, or else after what it
        is part of; one whose marker has a name, after that.

        :raises ValueError: if it could be
        """
        columns = self._columns_of(keyspace, table)
        if columns is None:
            return self._check_unknown(keyspace, table, name, cql_type, is_marker)
        part = _OF_A_COLUMN.fullmatch(name)
        if name in columns or (
            part and part[1] in columns and not self._contains(keyspace, table, part[1])
        ):
            return None
        types = set(_names(cql_type))
        for column, column_type in columns.items():
            if column_type in types and self._contains(keyspace, table, column):
                raise ValueError(
                    f"it may be meant for the encrypted column {column!r}, and would be sent in "
                    f"clear: write {column} = ?, or name the marker :{column}"
                )
        return None

    def _check_unknown(
        self, keyspace: str, table: str, name: str, cql_type: CqlType, is_marker: bool
    ) -> None:
        """Refuse it for a table that another client has just made, or without schema metadata."""
        part = _OF_A_COLUMN.fullmatch(name)
        is_column = not is_marker and _NO_COLUMN.search(part[1] if part else name) is None
        if is_column or "blob" not in _names(cql_type) or not self._may_have(keyspace, table):
            return
        raise ValueError(
            f"it may be meant for an encrypted column of {keyspace}.{table}, whose columns are not "
            "known, and would be sent in clear: write ? for each column"
        )

    def _may_have(self, keyspace: str, table: str) -> bool:
        """Whether the policy may have columns of a table; only the driver's own can tell."""
        columns = getattr(self.policy, "coldata", None)
        if not isinstance(columns, Mapping):
            return True
        return any(tuple(column)[:2] == (keyspace, table) for column in list(columns))

    def encrypt(self, described: Any, plain: bytes) -> bytes:
        """
        :raises ValueError: if the policy raises, or returns anything but bytes
        """
        return self._bytes_from("encrypt", described, plain)

    def decrypt(self, described: Any, data: bytes) -> bytes:
        """
        :raises ValueError: if the policy raises, or returns anything but bytes
        """
        return self._bytes_from("decrypt", described, data)

    def _contains(self, keyspace: str, table: str, name: str) -> bool:
        return bool(self._call("contains_column", ColDesc(keyspace, table, name)))

    def _bytes_from(self, method: str, described: Any, data: bytes) -> bytes:
        made = self._call(method, described, data)
        if not isinstance(made, bytes | bytearray | memoryview):
            raise ValueError(
                f"column_encryption_policy.{method}() returned {type(made).__name__} instead of bytes"
            )
        return bytes(made)

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self.policy, method)(*arguments)
        except MemoryError:
            raise
        # Whatever it raises, here and not outside the handler, would be its context.
        except Exception as error:  # noqa: BLE001
            failure = ValueError(
                f"column_encryption_policy.{method}() raised {type(error).__name__}"
            )
        raise failure


def _check(policy: object) -> None:
    kind = policy if isinstance(policy, type) else type(policy)
    if isinstance(policy, type):
        raise ConfigurationError(
            f"column_encryption_policy takes an instance, not the class {kind.__name__}"
        )
    lacking = [
        name
        for name in _METHODS
        if not callable(method := getattr(policy, name, None))
        or getattr(method, "__func__", None) is getattr(ColumnEncryptionPolicy, name, method)
    ]
    if lacking:
        raise ConfigurationError(
            f"column_encryption_policy: {kind.__name__} has no method {', '.join(lacking)}"
        )


def _names(cql_type: CqlType) -> Iterator[str]:
    """Yield a type and all types in it, as the schema writes them."""
    yield str(cql_type)
    for subtype in cql_type.subtypes:
        yield from _names(subtype)
