"""What callers meant, found again by the key that each of their statements has."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Evaluation", "Finding", "Intention"]


class Finding(AssertionError):
    """Something that must not happen; a subclass for each kind, so that each is shrunk by itself."""


class WrongKeyspace(Finding):
    """A request ran in a keyspace that its caller cannot have meant."""


class WrongBytes(Finding):
    """A server took bytes for another value than the caller's."""


class WrongRow(Finding):
    """A caller got another row than the server sent."""


class LostWrite(Finding):
    """A write was reported as done and is not stored."""


class SentTwice(Finding):
    """A write that is not idempotent was carried out twice."""


class SentAfterItsEnd(Finding):
    """A request left the client though its caller had its outcome already."""


class UnaskedCancel(Finding):
    """A task ended with a CancelledError that nobody asked for."""


class NeedlessRefusal(Finding):
    """A statement was refused though it fitted."""


class UnexpectedError(Finding):
    """An error of a kind that nothing explains."""


class KeyspacesDisagree(Finding):
    """The session and its connections are in different keyspaces."""


class SomethingLeft(Finding):
    """Something of a finished request is still there."""


@dataclass(slots=True)
class Evaluation:
    """One row that a server sent: names and values as of that moment."""

    names: tuple[str, ...]
    values: tuple[Any, ...]


@dataclass(slots=True)
class Intention:
    """What one statement of one call means.

    :ivar number: its key, unique in a model
    :ivar keyspaces: those that the call may have meant; one, unless the session's keyspace was being changed
    :ivar since: the last change of the schema that its bound bytes know of
    :ivar values: what it stores, by column; empty for a read
    :ivar applied: how often a server carried it out
    """

    number: int
    keyspaces: frozenset[str]
    table: str
    since: int
    started: int
    text: str
    values: dict[str, Any] = field(default_factory=dict)
    repeatable: bool = False
    applied: int = 0
    over: bool = False
    evaluations: list[Evaluation] = field(default_factory=list)

    def describe(self) -> str:
        places = " or ".join(sorted(self.keyspaces))
        return f"#{self.number} {self.text!r} meant for {places}.{self.table} with {self.values}"
