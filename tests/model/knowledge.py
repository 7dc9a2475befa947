"""What a client can know of a schema that others change.

Theory. Rule 2 admits one window: bytes that were bound for old types may arrive as long as the client cannot
know better, because another client has prepared the same text again and no node says UNPREPARED. The client
knows of an incompatible change when its event has got through the control plane, when the client's own DDL has
returned, when a node has said that it does not know the statement, and when the same text was prepared again.
From there on a few turns pass until what was written to sockets before has arrived.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.model.schema import Change

__all__ = ["TURNS", "Knowledge", "Statement", "after_turns"]

# Turns of the loop after which all that was written before has been read: the client's flush at the
# end of its turn, the kernel's loopback, the peer's reading, and as many again.
TURNS = 12

type Statement = tuple[str, str]


def after_turns(turns: int, then: Callable[[], None]) -> None:
    """Call something when the loop has turned so often."""
    loop = asyncio.get_running_loop()
    if turns == 0:
        then()
    else:
        loop.call_soon(after_turns, turns - 1, then)


@dataclass(slots=True)
class Knowledge:
    """The knowledge of one client; it listens to that client's control plane.

    :ivar sent: events that were sent and have not got through
    :ivar prepared: by keyspace and text, the last change that the latest PREPARED knew of
    :ivar own: the client's own changes, with their texts
    :ivar lost: the last change whose event may have been lost with a control connection
    """

    sent: list[Change] = field(default_factory=list)
    prepared: dict[Statement, int] = field(default_factory=dict)
    own: dict[int, str] = field(default_factory=dict)
    lost: int = 0
    heard: set[int] = field(default_factory=set)
    _told: dict[Statement, int] = field(default_factory=dict)

    def has(self, change: Change, statement: Statement) -> bool:
        """Whether the client cannot but know that a change may concern a statement."""
        return change.number in self.heard or self._told.get(statement, 0) >= change.number

    def tell(self, statement: Statement, number: int) -> None:
        """A statement was prepared again, or a node has said that it forgot it, as of a change."""
        known = max(number, self._told.get(statement, 0))
        after_turns(TURNS, lambda: self._told.update({statement: known}))

    def events_are_lost(self, number: int) -> None:
        """The control connection was cut after a change; another one means that all is read again."""
        self.sent.clear()
        self.lost = number

    def own_change_returned(self, text: str, before: int) -> None:
        """The client's own DDL has returned; it began when the schema had ``before`` changes."""
        own = {number for number, made in self.own.items() if number > before and made == text}
        after_turns(TURNS, lambda: self.heard.update(own))

    def is_complete(self) -> bool:
        """Whether every event that was sent has got through."""
        return not self.sent

    # The control plane's events

    def on_schema_event(self, event: Mapping[str, Any], host: object) -> None:
        """Hear what got through; an empty event means that some may have been missed."""
        numbers = set(range(1, self.lost + 1)) if not event else self._matching(event)
        after_turns(TURNS, lambda: self.heard.update(numbers))

    def _matching(self, event: Mapping[str, Any]) -> set[int]:
        name = event.get("table") or event.get("type")
        wanted = (event["change_type"], event["keyspace"], name)
        for change in self.sent:
            if (change.kind, change.keyspace, change.name) == wanted:
                self.sent.remove(change)
                return {change.number}
        return set()

    def ignore(self, *event: object) -> None:
        """Other events do not matter here."""

    on_up = on_down = on_add = on_remove = on_user_type = on_routing = on_schema_change = ignore
