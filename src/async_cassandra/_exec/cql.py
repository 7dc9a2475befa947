"""What a CQL string says about itself: bind markers, kind, idempotence.

One tokenizer tells code from text, so that a ``?`` in a literal, a comment, a quoted name or a
``$$`` body is never taken for a marker. It reads any string in linear time and refuses none for its
syntax: bad CQL is the server's to explain.

Source: the lexer and parser grammars of Apache Cassandra 5 (``Lexer.g``, ``Parser.g``).
"""

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

__all__ = [
    "MarkerStyle",
    "MixedMarkersError",
    "Repetition",
    "StatementInfo",
    "StatementKind",
    "analyze",
    "describe",
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


class Repetition(enum.IntEnum):
    """What a statement's CQL says about applying it twice; of a batch's, the lowest holds."""

    NEVER = 0
    """It changes the outcome, and no mark can say otherwise: a paxos round, a counter."""
    UNKNOWN = 1
    """It may change the outcome."""
    HARMLESS = 2
    """Applying it twice leaves what applying it once does."""
    READ = 3
    """It changes nothing."""


class MixedMarkersError(ValueError):
    """A statement uses two styles of bind marker; the message names the position of one of each."""


@dataclass(frozen=True, slots=True)
class StatementInfo:
    """What :func:`analyze` found in one query string.

    :param markers: the style of the bind markers; a ``PERCENT`` style matters only when parameters
        are given: it is looked for in literals too, where the driver's formatting replaces it
    :param marker_count: how often a marker occurs, repeated names included
    :param marker_names: one name per marker in order of occurrence, ``:name`` as the server spells
        it (lower case unless quoted); empty for ``?`` and ``%s``
    :param is_read: sending it twice changes nothing, whatever it contains
    :param is_conditional: a lightweight transaction (``IF``), alone or within a batch
    :param repetition: what its text says of applying it twice; its parameters' types may say more
    :param keyspace_change: the keyspace named by a ``USE``, as the server spells it
    """

    markers: MarkerStyle
    marker_count: int
    marker_names: tuple[str, ...]
    kind: StatementKind
    is_read: bool
    is_conditional: bool
    repetition: Repetition
    keyspace_change: str | None


class _TokenKind(enum.Enum):
    WORD = enum.auto()
    QUOTED_NAME = enum.auto()
    LITERAL = enum.auto()
    NUMBER = enum.auto()
    MARKER = enum.auto()
    PERCENT = enum.auto()
    SYMBOL = enum.auto()


class _Token(NamedTuple):
    kind: _TokenKind
    text: str
    position: int


# No alternative can fail after a long run (an unterminated comment or literal extends to the end):
# that keeps the scan linear.
_SCANNER: Final = re.compile(
    r"""
    (?P<SKIP> \s++ | (?:--|//)[^\r\n]*+ | /\*(?s:.*?)(?:\*/|\Z) )
  | (?P<LITERAL> '[^']*+(?:''[^']*+)*+'? | \$\$(?s:.*?)(?:\$\$|\Z) )
  | (?P<QUOTED_NAME> "[^"]*+(?:""[^"]*+)*+"? )
  | (?P<NUMBER> [0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?!\w) | \d[\w.]*+ )
  | (?P<WORD> [^\W\d]\w*+ )
  | (?P<PERCENT> %s(?!\w) | %\([^()]*+\)s )
  | (?P<SYMBOL> %% | (?s:.) )
    """,
    re.VERBOSE,
)
_KINDS: Final = {kind.name: kind for kind in _TokenKind}
_PERCENT: Final = re.compile(r"%(?:%|s|\(([^()]*+)\)s)")

_SIGNS: Final = ("+", "-")
_OPERATORS: Final = (*_SIGNS, "*", "/", "%")
_NOTHING: Final = (_Token(_TokenKind.SYMBOL, "", 0),) * 5

_DDL: Final = frozenset({"create", "alter", "drop", "truncate"})
_READS: Final = frozenset({"select", "list", "describe", "desc"})
_MODIFICATIONS: Final = frozenset({"insert", "update", "delete"})
_BY_FIRST_WORD: Final = {
    **{word: StatementKind(word) for word in ("select", "insert", "update", "delete", "use")},
    **dict.fromkeys(_DDL, StatementKind.DDL),
}

# Words that may stand before a parenthesis without calling a function.
_NOT_CALLS: Final = frozenset(
    {"values", "in", "and", "where", "set", "contains", "key", "like", "not", "timestamp", "ttl"}
)
# Native functions of their arguments only; any other may be now(), or a user's.
_PURE_FUNCTIONS: Final = frozenset(
    {"token", "cast", "tojson", "to_json", "dateof", "unixtimestampof"}
    | {"todate", "totimestamp", "tounixtimestamp", "to_date", "to_timestamp", "to_unix_timestamp"}
    | {"mintimeuuid", "maxtimeuuid", "min_timeuuid", "max_timeuuid"}
    | {"abs", "exp", "log", "log10", "round"}
)
_NATIVE: Final = (
    "(?:ascii|bigint|boolean|counter|date|decimal|double|duration|float|inet|int|smallint|text"
    "|time|timestamp|timeuuid|tinyint|uuid|varchar|varint)"
)
_PURE_FUNCTION: Final = re.compile(
    f"{_NATIVE}asblob|blobas{_NATIVE}|{_NATIVE}_as_blob|blob_as_{_NATIVE}"
)


def analyze(query: str) -> StatementInfo:
    """Read a query string as the server's lexer would.

    :raises MixedMarkersError: if bind markers of two styles occur outside of literals
    """
    tokens = list(_resolve_colons(_scan(query)))
    style, names, count = _find_markers(query, tokens)
    words = _first_words(tokens)
    kind = _kind_of(words)
    modifications = list(_modifications(tokens, kind))
    is_conditional = any(_has_word(part, "if") for part in modifications)
    is_read = bool(words) and words[0] in _READS
    repetition = Repetition.UNKNOWN
    if is_read:
        repetition = Repetition.READ
    elif is_conditional or words[:2] == ["begin", "counter"] or any(map(_counts, modifications)):
        repetition = Repetition.NEVER
    elif kind is StatementKind.USE or (modifications and all(map(_is_harmless, modifications))):
        repetition = Repetition.HARMLESS
    return StatementInfo(
        markers=style,
        marker_count=count,
        marker_names=names,
        kind=kind,
        is_read=is_read,
        is_conditional=is_conditional,
        repetition=repetition,
        keyspace_change=_name(tokens[1]) if kind is StatementKind.USE and len(tokens) > 1 else None,
    )


def _scan(query: str) -> Iterator[_Token]:
    for match in _SCANNER.finditer(query):
        group = match.lastgroup
        if group is None or group == "SKIP":
            continue
        kind = _TokenKind.MARKER if match[0] == "?" else _KINDS[group]
        yield _Token(kind, match[0], match.start())


class _ColonRole:
    """Tells the ``:`` of a map or UDT literal from the one that begins a named marker.

    Only the first ``:`` after a key, directly between braces, separates: ``{'a': now()}`` has no
    marker, ``{:k: :v}`` two.
    """

    __slots__ = ("_brackets", "_key_begun")

    def __init__(self) -> None:
        self._brackets: list[str] = []
        self._key_begun: list[bool | None] = []  # per open bracket; None: the separator was seen

    def is_separator(self) -> bool:
        """Consume a ``:``; true if it separates key and value."""
        if not self._brackets or self._brackets[-1] != "{" or not self._key_begun[-1]:
            return False
        self._key_begun[-1] = None
        return True

    def follow(self, text: str) -> None:
        """Consume any other token."""
        if text in ("(", "[", "{"):
            self._begin_key()
            self._brackets.append(text)
            self._key_begun.append(False)
        elif text in (")", "]", "}"):
            if self._brackets:
                self._brackets.pop()
                self._key_begun.pop()
        elif text == "," and self._brackets:
            self._key_begun[-1] = False
        else:
            self._begin_key()

    def _begin_key(self) -> None:
        if self._brackets and self._key_begun[-1] is False:
            self._key_begun[-1] = True


def _resolve_colons(tokens: Iterator[_Token]) -> Iterator[_Token]:
    """Join a ``:`` that begins a marker with its name, spelled as the server does."""
    role = _ColonRole()
    colon: _Token | None = None
    for token in tokens:
        if colon is not None:
            if token.kind in (_TokenKind.WORD, _TokenKind.QUOTED_NAME):
                yield _Token(_TokenKind.MARKER, ":" + _name(token), colon.position)
                role.follow("?")
                colon = None
                continue
            yield colon
            colon = None
        if token.text == ":" and not role.is_separator():
            colon = token
            continue
        if token.text != ":":
            role.follow(token.text)
        yield token
    if colon is not None:
        yield colon


@lru_cache(maxsize=2048)
def describe(query: str) -> StatementInfo:
    """As :func:`analyze`, remembered for the strings used last."""
    return analyze(query)


def _find_markers(query: str, tokens: Sequence[_Token]) -> tuple[MarkerStyle, tuple[str, ...], int]:
    found: dict[MarkerStyle, int] = {}
    names: list[str] = []
    count = 0
    for token in tokens:
        if token.kind is _TokenKind.MARKER or token.kind is _TokenKind.PERCENT:
            found.setdefault(_style_of(token.text), token.position)
            if token.kind is _TokenKind.MARKER:
                count += 1
                if token.text != "?":
                    names.append(token.text[1:])
    if len(found) > 1:
        (first, at), (second, then_at) = list(found.items())[:2]
        raise MixedMarkersError(
            f"a statement takes one style of bind marker, not {first.value} (at position {at})"
            f" and {second.value} (at position {then_at})"
        )
    if count:
        return next(iter(found)), tuple(names), count
    return _find_percent_markers(query)


def _find_percent_markers(query: str) -> tuple[MarkerStyle, tuple[str, ...], int]:
    """Find what ``query % parameters`` replaces, which does not spare literals and comments."""
    matches = [match for match in _PERCENT.finditer(query) if match[0] != "%%"]
    if not matches:
        return MarkerStyle.NONE, (), 0
    names = tuple(match[1] for match in matches if match[1] is not None)
    if names:
        return MarkerStyle.PERCENT_NAMED, names, len(names)
    return MarkerStyle.PERCENT_POSITIONAL, (), len(matches)


def _style_of(marker: str) -> MarkerStyle:
    if marker == "?":
        return MarkerStyle.POSITIONAL
    if marker[0] == ":":
        return MarkerStyle.NAMED
    return MarkerStyle.PERCENT_POSITIONAL if marker == "%s" else MarkerStyle.PERCENT_NAMED


def _name(token: _Token) -> str:
    if token.kind is _TokenKind.QUOTED_NAME:
        return token.text[1:].removesuffix('"').replace('""', '"')
    return token.text.lower()


def _first_words(tokens: Sequence[_Token]) -> list[str]:
    words = []
    for token in tokens[:3]:
        if token.kind is not _TokenKind.WORD:
            break
        words.append(token.text.lower())
    return words


def _kind_of(words: Sequence[str]) -> StatementKind:
    if not words:
        return StatementKind.OTHER
    if words[0] == "begin" and "batch" in words:
        return StatementKind.BATCH
    return _BY_FIRST_WORD.get(words[0], StatementKind.OTHER)


def _is_word(token: _Token, word: str) -> bool:
    return token.kind is _TokenKind.WORD and token.text.lower() == word


def _has_word(tokens: Sequence[_Token], word: str) -> bool:
    return any(_is_word(token, word) for token in tokens)


def _modifications(tokens: Sequence[_Token], kind: StatementKind) -> Iterator[Sequence[_Token]]:
    """Split into single INSERT, UPDATE and DELETE statements, whose first words are reserved."""
    if kind is not StatementKind.BATCH:
        if kind.value in _MODIFICATIONS:
            yield tokens
        return
    begin = None
    for index, token in enumerate(tokens):
        if token.kind is _TokenKind.WORD and token.text.lower() in _MODIFICATIONS:
            if begin is not None:
                yield tokens[begin:index]
            begin = index
    if begin is not None:
        yield tokens[begin:]


def _is_harmless(tokens: Sequence[_Token]) -> bool:
    """Whether a single unconditional modification leaves the same when applied twice.

    A list that is written as a whole is not: each repetition has the timestamp of the first, so it
    does not delete what that wrote, and the elements are there twice.
    """
    verb = tokens[0].text.lower()
    if verb == "insert":
        # Before VALUES a name and a parenthesis are the table and its columns; JSON has none.
        values = _after(tokens, "values")
        return bool(values) and not (_may_touch_a_list(values) or _calls_unknown_function(values))
    if verb == "update":
        assignments = _before(_after(tokens, "set"), "where")
        return not (
            _changes_by_operator(assignments)
            or _may_touch_a_list(assignments)
            or _calls_unknown_function(tokens)
        )
    return not (_may_touch_a_list(_before(tokens, "from")) or _calls_unknown_function(tokens))


def _counts(tokens: Sequence[_Token]) -> bool:
    """Whether a number is added to a column, which then is a counter: ``c = c + 1``, ``c -= 1``."""
    assignments = [*_before(_after(tokens, "set"), "where"), *_NOTHING]
    for at in range(1, len(assignments) - len(_NOTHING)):
        if assignments[at].text != "=":
            continue
        column, first, sign = assignments[at - 1], assignments[at + 1], assignments[at + 2]
        if column.text in _SIGNS:
            operand = at + 1
        elif sign.text in _SIGNS and _name(first) == _name(column):
            operand = at + 3
        else:
            continue
        operand += assignments[operand].text in _SIGNS
        if assignments[operand].kind is _TokenKind.NUMBER:
            return True
    return False


def _before(tokens: Sequence[_Token], word: str) -> Sequence[_Token]:
    return next((tokens[:i] for i, token in enumerate(tokens) if _is_word(token, word)), tokens)


def _after(tokens: Sequence[_Token], word: str) -> Sequence[_Token]:
    return next((tokens[i + 1 :] for i, token in enumerate(tokens) if _is_word(token, word)), ())


def _ends_operand(token: _Token) -> bool:
    return token.kind is not _TokenKind.SYMBOL or token.text in (")", "]", "}")


def _changes_by_operator(assignments: Sequence[_Token]) -> bool:
    """Find ``c = c + ?``, ``c += ?``, ``l = ? + l``: a counter, a list, or what may be one."""
    return any(
        token.text in _OPERATORS and _ends_operand(previous)
        for previous, token in pairwise(assignments)
    )


def _may_touch_a_list(tokens: Sequence[_Token]) -> bool:
    """Find ``x[0]`` and ``[1, 2]``; what has a text in brackets behind its name is a map."""
    padded = [*_NOTHING, *tokens, *_NOTHING]
    return any(
        token.text == "["
        and not (
            name.kind in (_TokenKind.WORD, _TokenKind.QUOTED_NAME)
            and key.kind is _TokenKind.LITERAL
        )
        for name, token, key in zip(padded, padded[1:], padded[2:], strict=False)
    )


def _calls_unknown_function(tokens: Sequence[_Token]) -> bool:
    previous = ""
    for token, follower in pairwise(tokens):
        if follower.text == "(" and token.kind in (_TokenKind.WORD, _TokenKind.QUOTED_NAME):
            name = _name(token)
            is_pure = name in _PURE_FUNCTIONS or _PURE_FUNCTION.fullmatch(name) is not None
            if previous == "." or not (is_pure or name in _NOT_CALLS):
                return True
        previous = token.text
    return False
