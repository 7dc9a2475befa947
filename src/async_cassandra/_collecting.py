"""What collectors take, and queries without their literals; :mod:`.metrics` has it all for users."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from async_cassandra._session.core import SessionCore
from async_cassandra._session.request_stats import RequestStats


def now_with_zone() -> datetime:
    """Return the current time, with its time zone."""
    return datetime.now(UTC)


def keep_latest[T](found: dict[str, T], host: str, value: T, most: int) -> None:
    """Keep what was found about a host; beyond ``most`` hosts, forget the one checked longest ago."""
    found.pop(host, None)
    found[host] = value
    if len(found) > most:
        del found[next(iter(found))]


@dataclass(slots=True)
class QueryMetrics:
    """One finished query.

    :ivar query_hash: the same for queries that differ only in literals; starts with ``prepared`` for
        a prepared statement
    :ivar duration: seconds
    :ivar error_type: class name of the error; ``None`` if the query succeeded
    :ivar timestamp: when it finished, with its time zone
    :ivar result_size: rows in the result
    """

    __module__ = "async_cassandra.metrics"

    query_hash: str
    duration: float
    success: bool
    error_type: str | None = None
    timestamp: datetime = field(default_factory=now_with_zone)
    parameters_count: int = 0
    result_size: int = 0


@dataclass(slots=True)
class ConnectionMetrics:
    """The result of one host's health check.

    :ivar response_time: seconds
    """

    __module__ = "async_cassandra.metrics"

    host: str
    is_healthy: bool
    last_check: datetime
    response_time: float
    error_count: int = 0
    total_queries: int = 0


class MetricsCollector:
    """A destination for measurements; derive from it to send them elsewhere.

    Concurrency: called on the loop thread as each query finishes, and runs to its first ``await``
    before the query's caller continues: hand slow work to a thread.
    """

    __module__ = "async_cassandra.metrics"

    def stats_of(self, core: SessionCore) -> RequestStats | None:
        """Return where a session's events may be counted directly, without :meth:`record_query`."""
        return None

    async def record_query(self, metrics: QueryMetrics) -> None:
        """Record one finished query."""
        raise NotImplementedError

    async def record_connection_health(self, metrics: ConnectionMetrics) -> None:
        """Record the result of one health check."""
        raise NotImplementedError

    async def get_stats(self) -> dict[str, Any]:
        """Return what was collected, as plain values."""
        raise NotImplementedError


# Literals, quoted names, comments and white space; whatever is between them is upper-cased.
_PIECES = re.compile(
    r"""
      (?P<literal> '(?:[^']|'')*(?:'|\Z) | \$\$.*?(?:\$\$|\Z)
                 | \b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b | \b0[xX][0-9a-fA-F]*
                 | \b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b | \?  )
    | (?P<quoted> "(?:[^"]|"")*" )
    | (?P<gap> \s+ | --[^\n]* | //[^\n]* | /\*.*?(?:\*/|\Z) )
    """,
    re.VERBOSE | re.DOTALL,
)
_LISTS = re.compile(r"\?(?:\s*,\s*\?)+")
# Of a role; a misspelt statement may have it outside a literal, or without an end.
_PASSWORD = re.compile(
    r"(\bPASSWORD\s*+=?+\s*+)(?!\?)(?:\"(?:[^\"]|\"\")*\"?|[^\s;]+)", re.IGNORECASE
)
CACHED_TEXT = 4096


def _replacement(match: re.Match[str]) -> str:
    if match["literal"]:
        return "?"
    return match["quoted"] or " "


def hash_of(text: str) -> str:
    upper: list[str] = []
    end = 0
    for match in _PIECES.finditer(text):
        upper += (text[end : match.start()].upper(), _replacement(match))
        end = match.end()
    upper.append(text[end:].upper())
    normal = _LISTS.sub("?", " ".join("".join(upper).split()))
    return blake2b(normal.encode(), digest_size=6).hexdigest()


def _sanitise(text: str) -> str:
    parts = _PASSWORD.sub(r"\1?", _PIECES.sub(_replacement, text))
    return " ".join(_LISTS.sub("?", parts).split())


_cached_text = lru_cache(maxsize=1024)(_sanitise)


def sanitised(text: str) -> str:
    """Return a query without its literals, comments and superfluous white space; a list of literals counts as one."""
    return _cached_text(text) if len(text) <= CACHED_TEXT else _sanitise(text)
