"""Removes from a server's words the values of the request that they are about.

Servers quote them: a syntax error has the tokens before it, even the password of ``CREATE ROLE``, a
wrong type its literal, a wrong JSON document the bound text.
"""

import re
from collections.abc import Iterator

from async_cassandra._wire.requests import Batch, Message, Prepare, Query

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

_WORD_PASSWORD = re.compile(r"\bPASSWORD\b", re.IGNORECASE)
# What a server's syntax errors quote: a token, and the excerpt around it.
_QUOTED = re.compile(r"'.*'|\(.*\)|\[.*\]", re.DOTALL)
_CUT = ("]...", "]")


def without_literals(text: str) -> str:
    """Return a query without its literals, for an error message."""
    return _hide(text, _literals(text))


def without_values(words: str, message: Message, prepared_query: str | None) -> str:
    """Return a server's words about a request without its literals and bound texts.

    :param prepared_query: the query of an EXECUTE, else ``None``
    """
    queries = list(_queries(message, prepared_query))
    words = _hide(words, _values(message, queries))
    if any(map(_WORD_PASSWORD.search, queries)):
        # However it is written, and whatever a server makes of it: nothing that it quotes.
        words = _QUOTED.sub(HIDDEN, words)
    return words


def _hide(words: str, values: Iterator[str]) -> str:
    found = {value for value in values if SHORTEST_VALUE <= len(value) <= LONGEST_VALUE}
    # The longest first: one may be part of another.
    for value in sorted(found, key=len, reverse=True):
        words = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", HIDDEN, words)
        words = _hide_cut(words, value)
    return words


def _hide_cut(words: str, value: str) -> str:
    """Remove the beginning of a value, where a server has quoted that: ``[... = 'beginn]...``."""
    at = 0
    while (at := words.find(value[:SHORTEST_VALUE], at)) >= 0:
        end, left = at, iter(value)
        while end < len(words) and words[end] == next(left, None):
            end += 1
        if words.startswith(_CUT, end):
            words = words[:at] + HIDDEN + words[end:]
        at += 1
    return words


def _values(message: Message, queries: list[str]) -> Iterator[str]:
    for query in queries:
        yield from _literals(query)
    if isinstance(message, Batch):
        for _, values in message.entries:
            yield from _texts(values)
    else:
        yield from _texts(getattr(message, "values", None))


def _queries(message: Message, prepared_query: str | None) -> Iterator[str]:
    if isinstance(message, Batch):
        yield from (query for query, _ in message.entries if isinstance(query, str))
    elif prepared_query is not None:
        yield prepared_query
    elif isinstance(message, Query | Prepare):
        yield message.query or ""


def _literals(query: str) -> Iterator[str]:
    for match in _LITERAL.finditer(query):
        if (value := match[match.lastindex] if match.lastindex else None) is not None:
            yield value
            yield value.replace("''", "'")
    for match in _PASSWORD.finditer(query):
        yield match[2]


def _texts(values: object) -> Iterator[str]:
    """Yield the texts among encoded values: ``[short] count``, then each as ``[int] size`` and bytes."""
    data = bytes(values) if isinstance(values, bytes | bytearray | memoryview) else b""
    at = 2
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], signed=True)
        body = data[at + 4 : at + 4 + max(size, 0)]
        at += 4 + max(size, 0)
        text = body.decode(errors="replace")
        if text.isprintable():
            yield text
