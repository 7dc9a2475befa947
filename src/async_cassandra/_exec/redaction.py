"""A server's words without the values of the request that they are about.

Servers quote them: a syntax error has the tokens before it, the password of ``CREATE ROLE`` too, a
wrong type its literal, a wrong JSON document the text that was bound.
"""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from async_cassandra._wire.requests import Batch, Prepare, Query

if TYPE_CHECKING:
    from async_cassandra._exec.request import Request

SHORTEST_VALUE = 3
LONGEST_VALUE = 65536
HIDDEN = "…"

# Strings, numbers and blobs; comments and quoted names are skipped as a whole.
_LITERAL = re.compile(
    r"""
      '((?:[^']|'')*)(?:'|\Z) | \$\$(.*?)(?:\$\$|\Z) | \b(0[xX][0-9a-fA-F]+)\b
    | \b([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\b
    | \b(\d[\d.eE+-]{2,})\b | "(?:[^"]|"")*" | --[^\n]* | //[^\n]* | /\*.*?(?:\*/|\Z)
    """,
    re.VERBOSE | re.DOTALL,
)
# What a role statement sets, however it is written.
_PASSWORD = re.compile(
    r"\bPASSWORD\s*=?\s*([\"']?)(.*?)(?:\1(?=\s|;|\Z)|\Z)", re.IGNORECASE | re.DOTALL
)


def without_literals(text: str) -> str:
    """A query for an error's text."""
    return _hide(text, _literals(text))


def without_values(words: str, request: "Request") -> str:
    """A server's words about a request, less its literals and the texts that it was given."""
    return _hide(words, _values(request))


def _hide(words: str, values: Iterator[str]) -> str:
    found = {value for value in values if SHORTEST_VALUE <= len(value) <= LONGEST_VALUE}
    # The longest first: one may be part of another.
    for value in sorted(found, key=len, reverse=True):
        words = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", HIDDEN, words)
    return words


def _values(request: "Request") -> Iterator[str]:
    message = request.message
    if isinstance(message, Batch):
        for query_or_id, values in message.entries:
            if isinstance(query_or_id, str):
                yield from _literals(query_or_id)
            yield from _texts(values)
        return
    query = request.prepared.query if request.prepared is not None else None
    if query is None and isinstance(message, Query | Prepare):
        query = message.query
    yield from _literals(query or "")
    yield from _texts(getattr(message, "values", None))


def _literals(query: str) -> Iterator[str]:
    for match in _LITERAL.finditer(query):
        if (value := match[match.lastindex] if match.lastindex else None) is not None:
            yield value
            yield value.replace("''", "'")
    for match in _PASSWORD.finditer(query):
        yield match[2]


def _texts(values: object) -> Iterator[str]:
    """What is text among encoded values; ``[short] count``, then each as ``[int] size`` and bytes."""
    data = bytes(values) if isinstance(values, bytes | bytearray | memoryview) else b""
    at = 2
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], signed=True)
        body = data[at + 4 : at + 4 + max(size, 0)]
        at += 4 + max(size, 0)
        text = body.decode(errors="replace")
        if text.isprintable():
            yield text
