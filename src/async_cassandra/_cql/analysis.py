"""Reads from a CQL string its bind markers, kind and idempotence.

It takes linear time for any string and refuses none for its syntax: the server explains bad CQL.
"""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from async_cassandra._cql.tokens import Token, TokenKind, name_of, read_tokens
from async_cassandra._cql.writes import Repetition, repetition_of_batch, repetition_of_write

__all__ = [
    "MarkerStyle",
    "MixedMarkersError",
    "Repetition",
    "StatementInfo",
    "StatementKind",
    "analyze",
    "describe",
    "is_read",
]


class MarkerStyle(enum.Enum):
    """How a statement refers to its parameters."""

    NONE = "no marker"
    POSITIONAL = "?"
    NAMED = ":name"
    PERCENT_POSITIONAL = "%s"
    PERCENT_NAMED = "%(name)s"


class StatementKind(enum.Enum):
    """What a statement does, by its first word."""

    SELECT = "select"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    BATCH = "batch"
    USE = "use"
    DDL = "ddl"
    OTHER = "other"


class MixedMarkersError(ValueError):
    """A statement uses two styles of bind marker; the message names the position of one of each."""


@dataclass(frozen=True, slots=True)
class StatementInfo:
    """What :func:`analyze` found in one query string.

    :param markers: the style of the bind markers; a ``PERCENT`` style matters only if parameters
        are given: it is found in literals too, where the driver's formatting replaces it
    :param is_read: sending it twice changes nothing, whatever it contains
    :param is_conditional: a lightweight transaction (``IF``), alone or within a batch
    :param repetition: what its text says about applying it twice; its parameters' types may say more
    :param keyspace_change: the keyspace named by a ``USE``, as the server spells it
    :param joins_text: a ``PERCENT`` marker stands in a literal or a comment, or touches another
        token, so that only the formatted string shows what the server will read
    :param is_all_or_nothing: an unconditional write of one partition, or a logged batch
    """

    markers: MarkerStyle
    kind: StatementKind
    is_read: bool
    is_conditional: bool
    repetition: Repetition
    keyspace_change: str | None
    joins_text: bool
    is_all_or_nothing: bool


_PERCENT: Final = re.compile(r"%(?:%|s|\(([^()]*+)\)s)")
# A marker that can be replaced by any literal without a change of the tokens beside it.
_ALONE: Final = re.compile(r"(?<![^\s(,=\[{<>])%(?:s|\([^()]*+\)s)(?![^\s),;\]}<>])")

_DDL: Final = frozenset({"create", "alter", "drop", "truncate"})
_READS: Final = frozenset({"select", "list", "describe", "desc"})
_MODIFICATIONS: Final = (StatementKind.INSERT, StatementKind.UPDATE, StatementKind.DELETE)
_BY_FIRST_WORD: Final = {
    **{word: StatementKind(word) for word in ("select", "insert", "update", "delete", "use")},
    **dict.fromkeys(_DDL, StatementKind.DDL),
}


def analyze(query: str) -> StatementInfo:
    """Read a query string as the server's lexer would.

    :raises MixedMarkersError: if bind markers of two styles occur outside literals
    """
    tokens = read_tokens(query)
    style, count = _find_markers(query, tokens)
    words = _first_words(tokens)
    kind = _kind_of(words)
    is_conditional = kind in (*_MODIFICATIONS, StatementKind.BATCH) and any(
        _is_word(token, "if") for token in tokens
    )
    is_read = bool(words) and words[0] in _READS
    return StatementInfo(
        markers=style,
        kind=kind,
        is_read=is_read,
        is_conditional=is_conditional,
        repetition=_repetition(tokens, words, kind, is_conditional),
        keyspace_change=_used_keyspace(tokens) if kind is StatementKind.USE else None,
        joins_text=_joins_text(query, tokens, style, count),
        is_all_or_nothing=not is_conditional and _is_sent_at_once(tokens, words, kind),
    )


def _is_sent_at_once(tokens: Sequence[Token], words: Sequence[str], kind: StatementKind) -> bool:
    if kind is StatementKind.BATCH:
        return words[1] == "batch"
    return kind in _MODIFICATIONS and not any(_is_word(token, "in") for token in tokens)


def _repetition(
    tokens: Sequence[Token], words: Sequence[str], kind: StatementKind, is_conditional: bool
) -> Repetition:
    # A string holds one statement, so that its first word shows that it is no write.
    if words and words[0] in _READS:
        return Repetition.READ
    if is_conditional or words[:2] == ["begin", "counter"]:
        return Repetition.NEVER
    if kind is StatementKind.BATCH:
        return repetition_of_batch(tokens)
    if kind in _MODIFICATIONS:
        return repetition_of_write(tokens)
    if words and words[0] == "begin":
        # A transaction of several statements, which may read what it wrote.
        return Repetition.NEVER
    return Repetition.HARMLESS if kind is StatementKind.USE else Repetition.UNKNOWN


def _is_word(token: Token, word: str) -> bool:
    return token.kind is TokenKind.WORD and token.text.lower() == word


def _used_keyspace(tokens: Sequence[Token]) -> str | None:
    """Return the keyspace of ``USE name``; ``None`` if a text only begins like that, which a server refuses."""
    name = tokens[1] if len(tokens) > 1 else None
    if name is None or any(token.text != ";" for token in tokens[2:]):
        return None
    is_quoted = name.kind is TokenKind.QUOTED_NAME and len(name.text) > 1 and name.text[-1] == '"'
    return name_of(name) if is_quoted or name.kind is TokenKind.WORD else None


@lru_cache(maxsize=2048)
def describe(query: str) -> StatementInfo:
    """Return what :func:`analyze` does, remembered for the strings used last."""
    return analyze(query)


def is_read(statement: object) -> bool:
    """Whether executing a statement, of any class, changes nothing."""
    prepared = getattr(statement, "prepared_statement", statement)
    text = getattr(prepared, "query_string", None)
    return isinstance(text, str) and describe(text).is_read


def _find_markers(query: str, tokens: Sequence[Token]) -> tuple[MarkerStyle, int]:
    """The style, and how often such a marker occurs."""
    found: dict[MarkerStyle, int] = {}
    count = 0
    for token in tokens:
        if token.kind is TokenKind.MARKER or token.kind is TokenKind.PERCENT:
            found.setdefault(_style_of(token.text), token.position)
            count += token.kind is TokenKind.MARKER
    if len(found) > 1:
        (first, at), (second, then_at) = list(found.items())[:2]
        raise MixedMarkersError(
            f"a statement takes one style of bind marker, not {first.value} (at position {at})"
            f" and {second.value} (at position {then_at})"
        )
    if count:
        return next(iter(found)), count
    return _find_percent_markers(query)


def _find_percent_markers(query: str) -> tuple[MarkerStyle, int]:
    """Find what ``query % parameters`` replaces, in literals and comments too."""
    matches = [match for match in _PERCENT.finditer(query) if match[0] != "%%"]
    if not matches:
        return MarkerStyle.NONE, 0
    named = sum(match[1] is not None for match in matches)
    if named:
        return MarkerStyle.PERCENT_NAMED, named
    return MarkerStyle.PERCENT_POSITIONAL, len(matches)


def _joins_text(query: str, tokens: Sequence[Token], style: MarkerStyle, count: int) -> bool:
    if style not in (MarkerStyle.PERCENT_POSITIONAL, MarkerStyle.PERCENT_NAMED):
        return False
    alone = (
        token.kind is TokenKind.PERCENT and _ALONE.match(query, token.position) is not None
        for token in tokens
    )
    return sum(alone) < count


def _style_of(marker: str) -> MarkerStyle:
    if marker == "?":
        return MarkerStyle.POSITIONAL
    if marker[0] == ":":
        return MarkerStyle.NAMED
    return MarkerStyle.PERCENT_POSITIONAL if marker == "%s" else MarkerStyle.PERCENT_NAMED


def _first_words(tokens: Sequence[Token]) -> list[str]:
    words = []
    for token in tokens[:3]:
        if token.kind is not TokenKind.WORD:
            break
        words.append(token.text.lower())
    return words


def _kind_of(words: Sequence[str]) -> StatementKind:
    if not words:
        return StatementKind.OTHER
    if words[0] == "begin" and "batch" in words:
        return StatementKind.BATCH
    return _BY_FIRST_WORD.get(words[0], StatementKind.OTHER)
