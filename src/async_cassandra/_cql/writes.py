"""Reads from a write's CQL what applying it twice would do.

It reads the grammar of INSERT, UPDATE and DELETE for positive proof: whatever it does not know
proves nothing. It asks two questions, and answers each the safe way if in doubt:

- Is it harmless? Only if all of it was understood, it writes no list, and it calls no function that
  may be a user's. An unqualified name may be one: the server looks in the session's keyspace too, and
  picks a user's function whose argument types fit better, even one called ``token``.
- May it add to a counter? An UPDATE may if its assignments were not understood, or if it
  adds something to a column that could be a number.

Source: the parser grammar of Apache Cassandra 5 (``Parser.g``), its ``FunctionResolver``.
"""

import enum
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from async_cassandra._cql.tokens import Token, TokenKind, name_of
from async_cassandra._wire.cqltypes import scalar_names

__all__ = ["Repetition", "repetition_of_batch", "repetition_of_write"]


class Repetition(enum.IntEnum):
    """What a statement's CQL says about applying it twice; for a batch, the lowest counts."""

    NEVER = 0
    """It changes the outcome, and no mark can override that: a paxos round, a counter."""
    UNKNOWN = 1
    """It may change the outcome."""
    HARMLESS = 2
    """Applying it twice has the same result as applying it once."""
    READ = 3
    """It changes nothing."""


class _Shape(enum.Enum):
    """The kind of a term, as far as its text shows."""

    COLLECTION = enum.auto()
    TEXT = enum.auto()
    MARKER = enum.auto()
    OTHER = enum.auto()


class _UnprovenError(Exception):
    """The text is not what the grammar expects here."""


MODIFICATIONS: Final = frozenset({"insert", "update", "delete"})
"""First words of writes; the grammar reserves them, so that each begins a statement of a batch."""

# Nesting beyond this is not read; far below what Python's own stack takes.
_MAX_DEPTH: Final = 64
_END: Final = Token(TokenKind.SYMBOL, "", -1)

# Those reserved words at which something else than a name follows in a write.
_RESERVED: Final = MODIFICATIONS | {
    *("and", "apply", "batch", "begin", "from", "if", "in", "infinity", "into", "is", "nan", "not"),
    *("null", "select", "set", "token", "using", "where"),
}
_CONSTANTS: Final = frozenset({"true", "false", "null", "nan", "infinity"})
_COLLECTIONS: Final = frozenset({"list", "set", "map"})
_NAMES: Final = (TokenKind.WORD, TokenKind.QUOTED_NAME)
_MARKERS: Final = (TokenKind.MARKER, TokenKind.PERCENT)
_VALUES: Final = (TokenKind.LITERAL, TokenKind.NUMBER, *_MARKERS)

# Native functions whose result depends on their arguments only, and is no list.
_PURE_FUNCTIONS: Final = frozenset(
    {"token", "todate", "totimestamp", "tounixtimestamp", "dateof", "unixtimestampof"}
    | {"to_date", "to_timestamp", "to_unix_timestamp"}
    | {"mintimeuuid", "maxtimeuuid", "min_timeuuid", "max_timeuuid"}
    | {"abs", "exp", "log", "log10", "round"}
)
_NATIVE: Final = f"(?:{'|'.join(name for name in scalar_names() if name != 'blob')})"
_CONVERSION: Final = re.compile(
    f"{_NATIVE}asblob|blobas{_NATIVE}|{_NATIVE}_as_blob|blob_as_{_NATIVE}"
)


def repetition_of_write(tokens: Sequence[Token]) -> Repetition:
    """Return what a single INSERT, UPDATE or DELETE says, read to its end."""
    return _Write(tokens).read(_Write.at_end)


def repetition_of_batch(tokens: Sequence[Token]) -> Repetition:
    """Return what all statements of a BATCH say, which begins with ``BEGIN``."""
    begins = [i for i, token in enumerate(tokens) if _is_modification(token)]
    lowest = _Write(tokens[: begins[0]] if begins else ()).read_head()
    for begin, end in zip(begins, [*begins[1:], None], strict=False):
        after = _Write.at_next if end is not None else _Write.at_batch_end
        lowest = min(lowest, _Write(tokens[begin:end]).read(after))
    return lowest


def _is_modification(token: Token) -> bool:
    return token.kind is TokenKind.WORD and token.text.lower() in MODIFICATIONS


def _is_reserved(token: Token) -> bool:
    return token.kind is TokenKind.WORD and token.text.lower() in _RESERVED


class _Tokens:
    """A place in a statement's tokens."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def peek(self, offset: int = 0) -> Token:
        at = self._at + offset
        return self._tokens[at] if at < len(self._tokens) else _END

    def take(self) -> Token:
        token = self.peek()
        self._at += 1
        return token

    def sees(self, symbol: str, offset: int = 0) -> bool:
        token = self.peek(offset)
        return token.kind is TokenKind.SYMBOL and token.text == symbol

    def sees_word(self, *words: str) -> bool:
        token = self.peek()
        return token.kind is TokenKind.WORD and token.text.lower() in words

    def accept(self, *symbols: str) -> bool:
        found = any(map(self.sees, symbols))
        self._at += found
        return found

    def accept_word(self, *words: str) -> bool:
        found = self.sees_word(*words)
        self._at += found
        return found

    def expect(self, symbol: str) -> None:
        if not self.accept(symbol):
            raise _UnprovenError

    def expect_word(self, *words: str) -> None:
        if not self.accept_word(*words):
            raise _UnprovenError

    def name(self) -> str:
        token = self.take()
        if token.kind not in _NAMES or _is_reserved(token):
            raise _UnprovenError
        return name_of(token)

    def each(self, read: Callable[[], object]) -> int:
        """Read one or more, with commas between; return how many."""
        count = 1
        read()
        while self.accept(","):
            read()
            count += 1
        return count


class _Terms(_Tokens):
    """The grammar of values."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        super().__init__(tokens)
        self.lowest = Repetition.HARMLESS
        self._depth = 0
        # Whether what is read now is stored, as opposed to compared with.
        self._is_stored = True

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Read something nested."""
        if self._depth == _MAX_DEPTH:
            raise _UnprovenError
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def lower(self, repetition: Repetition) -> None:
        self.lowest = min(self.lowest, repetition)

    def term(self) -> _Shape:
        """Read a sum; a column's name may follow its sign instead, and is not read."""
        shape = self._product()
        while (self.sees("+") or self.sees("-")) and not self.names_column(1):
            self.take()
            self._product()
            shape = _Shape.OTHER
        return shape

    def names_column(self, offset: int = 0) -> bool:
        token = self.peek(offset)
        if token.kind not in _NAMES or self.sees("(", offset + 1) or self.sees(".", offset + 1):
            return False
        return token.kind is TokenKind.QUOTED_NAME or token.text.lower() not in _CONSTANTS

    def _product(self) -> _Shape:
        shape = self._signed()
        while self.accept("*", "/", "%", "%%"):
            self._signed()
            shape = _Shape.OTHER
        return shape

    def _signed(self) -> _Shape:
        is_negated = False
        while self.accept("-"):
            is_negated = True
        shape = self._simple()
        return _Shape.OTHER if is_negated else shape

    def _simple(self) -> _Shape:
        token = self.peek()
        if token.kind in _VALUES:
            self.take()
            if token.kind is TokenKind.LITERAL:
                return _Shape.TEXT
            return _Shape.MARKER if token.kind in _MARKERS else _Shape.OTHER
        if token.kind in _NAMES:
            return self._named()
        with self.deeper():
            return self._bracketed()

    def _named(self) -> _Shape:
        if self.sees_word(*_CONSTANTS) and not self.sees("(", 1):
            self.take()
        else:
            self._call()
        return _Shape.OTHER

    def _call(self) -> None:
        keyspace = None
        name = "token" if self.accept_word("token") else self.name()
        if self.accept("."):
            keyspace, name = name, self.name()
        self.expect("(")
        is_pure = name in _PURE_FUNCTIONS or _CONVERSION.fullmatch(name) is not None
        if not (keyspace == "system" and is_pure):
            self.lower(Repetition.UNKNOWN)
        if not self.accept(")"):
            with self.deeper():
                self.each(self.term)
                if name == "cast" and self.accept_word("as"):
                    self._type()
            self.expect(")")

    def _bracketed(self) -> _Shape:
        if self.accept("("):
            return self._parenthesized()
        if self.accept("["):
            if self._is_stored:
                # Each repetition has the timestamp of the first, so that it does not delete what
                # that wrote: the elements are there twice.
                self.lower(Repetition.UNKNOWN)
            if not self.accept("]"):
                self.each(self.term)
                self.expect("]")
            return _Shape.COLLECTION
        self.expect("{")
        if not self.accept("}"):
            self.each(self._entry)
            self.expect("}")
        return _Shape.COLLECTION

    def _entry(self) -> None:
        """Read an element of a set, an entry of a map or a field of a UDT."""
        if self.peek().kind in _NAMES and self.sees(":", 1):
            self.take()
        else:
            self.term()
        if self.accept(":"):
            self.term()

    def _parenthesized(self) -> _Shape:
        begin = self._at
        try:
            is_collection = self._type()
            self.expect(")")
        except _UnprovenError:
            pass
        else:
            if self._begins_value():
                self._signed()
                return _Shape.COLLECTION if is_collection else _Shape.OTHER
        self._at = begin
        shapes: list[_Shape] = []
        self.each(lambda: shapes.append(self.term()))
        self.expect(")")
        return shapes[0] if len(shapes) == 1 else _Shape.OTHER

    def _begins_value(self) -> bool:
        token = self.peek()
        if token.kind in _NAMES:
            # Not the AND of a condition, which a parenthesis may follow as it does a function.
            is_value = self.sees_word("token", *_CONSTANTS) or not _is_reserved(token)
            return is_value and not self.names_column()
        if self.sees("-"):
            return self.peek(1).kind is TokenKind.NUMBER
        return token.kind in _VALUES or token.text in ("(", "[", "{")

    def _type(self) -> bool:
        """Read a type's name; return whether it is a collection."""
        if self.peek().kind is TokenKind.LITERAL:
            self.take()
            return False
        name = "set" if self.accept_word("set") else self.name()
        if self.accept("."):
            self.name()
        is_collection = False
        if self.accept("<"):
            parts: list[bool] = []
            self.each(lambda: parts.append(self._type_argument()))
            self.expect(">")
            is_collection = name in _COLLECTIONS or (name == "frozen" and parts[0])
        return is_collection

    def _type_argument(self) -> bool:
        if self.peek().kind is TokenKind.NUMBER:
            self.take()
            return False
        with self.deeper():
            return self._type()


class _Write(_Terms):
    """The grammar of INSERT, UPDATE and DELETE."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        super().__init__(tokens)
        self._may_count = False

    def read(self, after: Callable[["_Write"], None]) -> Repetition:
        """Read one write and what comes after it."""
        try:
            self._modification()
            after(self)
        except _UnprovenError:
            self.lower(Repetition.NEVER if self._may_count else Repetition.UNKNOWN)
        return self.lowest

    def read_head(self) -> Repetition:
        """Read a batch's beginning."""
        try:
            self.expect_word("begin")
            self.accept_word("unlogged")
            self.expect_word("batch")
            self._using()
            self.at_end()
        except _UnprovenError:
            self.lower(Repetition.UNKNOWN)
        return self.lowest

    def at_end(self) -> None:
        while self.accept(";"):
            pass
        if self.peek() is not _END:
            raise _UnprovenError

    def at_next(self) -> None:
        self.accept(";")
        if self.peek() is not _END:
            raise _UnprovenError

    def at_batch_end(self) -> None:
        self.accept(";")
        self.expect_word("apply")
        self.expect_word("batch")
        self.at_end()

    def _modification(self) -> None:
        verb = self.take().text.lower()
        if verb == "insert":
            self._insert()
        elif verb == "update":
            self._may_count = True
            self._update()
        else:
            self._delete()

    def _table(self) -> None:
        self.name()
        if self.accept("."):
            self.name()

    def _using(self) -> None:
        if not self.accept_word("using"):
            return
        while True:
            self.expect_word("timestamp", "ttl")
            if self.peek().kind not in _MARKERS:
                self.accept("-")
                if self.peek().kind is not TokenKind.NUMBER:
                    raise _UnprovenError
            self.take()
            if not self.accept_word("and"):
                return

    def _insert(self) -> None:
        self.expect_word("into")
        self._table()
        # JSON, the other way, may hold a list, or a text that is read as one.
        self.expect("(")
        self.each(self.name)
        self.expect(")")
        self.expect_word("values")
        self.expect("(")
        self.each(self.term)
        self.expect(")")
        self._using()

    def _update(self) -> None:
        self._table()
        self._using()
        self.expect_word("set")
        self.each(self._assignment)
        self.expect_word("where")
        self._may_count = False
        self._where()

    def _assignment(self) -> None:
        column = self.name()
        if self.accept("["):
            self._element()
            self.expect("=")
            self.term()
        elif self.accept("."):
            self.name()
            self.expect("=")
            self.term()
        elif self.accept("+", "-"):
            self.expect("=")
            self._add(self.term())
        else:
            self.expect("=")
            self._assigned(column)

    def _assigned(self, column: str) -> None:
        if not self.names_column():
            shape = self.term()
            if self.accept("+"):
                self._same(column)
                self._add(shape)
            return
        self._same(column)
        if self.accept("+", "-"):
            self._add(self.term())
            return
        # The server's lexer makes one number of a sign and digits: "c = c -1", and "c = c 1" too.
        if self.take().kind is not TokenKind.NUMBER:
            raise _UnprovenError
        self._add(_Shape.OTHER)

    def _same(self, column: str) -> None:
        if self.name() != column:
            raise _UnprovenError

    def _add(self, shape: _Shape) -> None:
        """Note that a term is added to a column; for a marker, its type decides."""
        self.lower(Repetition.NEVER if shape is _Shape.OTHER else Repetition.UNKNOWN)

    def _element(self) -> None:
        """Read what is between brackets after a column's name: a text is a map's key."""
        if self.term() is not _Shape.TEXT:
            self.lower(Repetition.UNKNOWN)
        self.expect("]")

    def _delete(self) -> None:
        if not self.sees_word("from"):
            self.each(self._deletion)
        self.expect_word("from")
        self._table()
        self._using()
        self.expect_word("where")
        self._where()

    def _deletion(self) -> None:
        self.name()
        if self.accept("["):
            self._element()
        elif self.accept("."):
            self.name()

    def _where(self) -> None:
        self._is_stored = False
        self._relation()
        while self.accept_word("and"):
            self._relation()

    def _relation(self) -> None:
        if self.accept_word("token"):
            self._names()
            self._comparison()
        elif self.sees("("):
            self._grouped_relation()
        else:
            self.name()
            if self.accept("["):
                self.term()
                self.expect("]")
            self._comparison()

    def _names(self) -> None:
        self.expect("(")
        self.each(self.name)
        self.expect(")")

    def _grouped_relation(self) -> None:
        begin = self._at
        try:
            self._names()
        except _UnprovenError:
            self._at = begin + 1
            with self.deeper():
                self._relation()
            self.expect(")")
        else:
            self._comparison()

    def _comparison(self) -> None:
        if self.accept_word("in"):
            if self.peek().kind in _MARKERS:
                self.take()
                return
            self.expect("(")
            if not self.accept(")"):
                self.each(self.term)
                self.expect(")")
            return
        if self.accept("<", ">"):
            self.accept("=")
        else:
            self.accept("!")
            self.expect("=")
        self.term()
