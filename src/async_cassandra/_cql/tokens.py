"""The tokens of a CQL string, as the server's lexer would cut them.

It tells code from text, so that a ``?`` in a literal, a comment, a quoted name or a ``$$`` body is
never mistaken for a marker. It reads any string in linear time and refuses none.

Source: the lexer grammar of Apache Cassandra 5 (``Lexer.g``).
"""

import enum
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["Token", "TokenKind", "name_of", "read_tokens"]


class TokenKind(enum.Enum):
    """The kind of a token; a ``PERCENT`` is a marker of the driver's formatting."""

    WORD = enum.auto()
    QUOTED_NAME = enum.auto()
    LITERAL = enum.auto()
    NUMBER = enum.auto()
    MARKER = enum.auto()
    PERCENT = enum.auto()
    SYMBOL = enum.auto()


class Token(NamedTuple):
    """A token with the position of its first character; a named marker is spelt ``:name``."""

    kind: TokenKind
    text: str
    position: int


# No alternative can fail after a long run (an unterminated comment or literal extends to the end):
# that keeps the scan linear. A number ends where the server's does: "1IF" is a number and an IF.
_SCANNER: Final = re.compile(
    r"""
    (?P<SKIP> \s++ | (?:--|//)[^\r\n]*+ | /\*(?s:.*?)(?:\*/|\Z) )
  | (?P<LITERAL> '[^']*+(?:''[^']*+)*+'? | \$\$(?s:.*?)(?:\$\$|\Z) )
  | (?P<QUOTED_NAME> "[^"]*+(?:""[^"]*+)*+"? )
  | (?P<NUMBER>
        [0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}
      | 0[xX][0-9a-fA-F]*+
      | (?:[0-9]++(?:[mM][oO]|[mMuUnN\u00b5][sS]|[yYwWdDhHmMsS]))++
      | P[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}
      | P(?=[0-9T])(?:[0-9]++[YMWD])*+(?:T(?:[0-9]++[HMS])++)?(?!\w)
      | [0-9]++(?:\.(?!\.)[0-9]*+)?(?:[eE][+-]?[0-9]++)?
    )
  | (?P<WORD> [^\W\d]\w*+ )
  | (?P<PERCENT> %s(?!\w) | %\([^()]*+\)s )
  | (?P<SYMBOL> %% | (?s:.) )
    """,
    re.VERBOSE,
)
_KINDS: Final = {kind.name: kind for kind in TokenKind}


def read_tokens(query: str) -> list[Token]:
    """Return every token of ``query`` except comments."""
    return list(_resolve_colons(_scan(query)))


def name_of(token: Token) -> str:
    """Return a name as the server spells it: lower case unless quoted."""
    if token.kind is TokenKind.QUOTED_NAME:
        return token.text[1:].removesuffix('"').replace('""', '"')
    return token.text.lower()


def _scan(query: str) -> Iterator[Token]:
    for match in _SCANNER.finditer(query):
        group = match.lastgroup
        if group is None or group == "SKIP":
            continue
        kind = TokenKind.MARKER if match[0] == "?" else _KINDS[group]
        yield Token(kind, match[0], match.start())


class _ColonRole:
    """Tells the ``:`` in a map or UDT literal from the one that begins a named marker.

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


def _resolve_colons(tokens: Iterator[Token]) -> Iterator[Token]:
    """Join a ``:`` that begins a marker with its name, spelled as the server does."""
    role = _ColonRole()
    colon: Token | None = None
    for token in tokens:
        if colon is not None:
            if token.kind in (TokenKind.WORD, TokenKind.QUOTED_NAME):
                yield Token(TokenKind.MARKER, ":" + name_of(token), colon.position)
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
