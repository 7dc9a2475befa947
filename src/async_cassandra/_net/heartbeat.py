"""Finds connections that no longer answer, long before the operating system does.

Theory. At each beat, a connection that owed responses at the previous beat, and has delivered nothing
since, is suspect: it is sent OPTIONS, which any live server answers at once, and requests avoid it
meanwhile. Any byte that arrives clears it. One that stays silent for ``timeout`` more seconds is
aborted. A connection without traffic for ``idle_interval`` is probed too.

Seconds are counted in beats: after a loop was blocked they would be over already, while what
arrived meanwhile is read between two beats.

A connection is worn if more than half of the requests that it may carry are orphans that were
orphans at the previous beat: it says so through ``on_worn``. Thousands of requests that are cancelled
and answered soon do not wear it out.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from async_cassandra._net.connection import Connection
from async_cassandra._net.errors import ConnectionSilent
from async_cassandra._wire.requests import Options
from async_cassandra._wire.responses import Response

# Seconds: a beat looks at every connection.
SHORTEST_BEAT = 0.02


@dataclass(slots=True)
class _Seen:
    reads: int
    owed: bool
    silent_beats: int = 0
    beats_to_loss: int | None = None


@dataclass(slots=True)
class Heartbeat:
    """Watches connections from one timer of the loop.

    :param connections: returns those to watch, at each beat
    :param interval: seconds between beats; a connection is suspect after one to two of them
    :param timeout: seconds that a probe may stay unanswered
    :param idle_interval: seconds without traffic after which a connection is probed; 0 for never
    """

    connections: Callable[[], Iterable[Connection]]
    interval: float = 0.5
    timeout: float = 5.0
    idle_interval: float = 30.0
    _seen: dict[Connection, _Seen] = field(default_factory=dict)
    _handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start to beat on the running loop."""
        loop = asyncio.get_running_loop()
        self._handle = loop.call_later(self.interval, self._beat, loop)

    def stop(self) -> None:
        """Stop beating."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._seen.clear()

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._handle = loop.call_later(self.interval, self._beat, loop)
        seen: dict[Connection, _Seen] = {}
        for connection in self.connections():
            if connection.closed:
                continue
            self._check_wear(connection)
            before = self._seen.get(connection)
            if before is None or before.reads != connection.reads:
                before = _Seen(connection.reads, owed=connection.in_flight > 0)
            else:
                self._check(connection, before)
            seen[connection] = before
        self._seen = seen

    def _check_wear(self, connection: Connection) -> None:
        most = connection.max_in_flight // 2
        # Few have so many orphans: looking for the old ones among them walks the whole table.
        if connection.on_worn is None or connection.orphans <= most:
            return
        if connection.old_orphans() > most:
            connection.on_worn(connection)

    def _check(self, connection: Connection, seen: _Seen) -> None:
        """Act on a connection that has delivered nothing since the last beat."""
        seen.silent_beats += 1
        if seen.beats_to_loss is not None:
            if seen.silent_beats >= seen.beats_to_loss:
                silence = seen.silent_beats * self.interval
                connection.abort(
                    ConnectionSilent(
                        f"{connection.endpoint} has answered nothing for {silence:.1f} s",
                        connection.endpoint,
                    )
                )
            return
        owes, owed = connection.in_flight > 0, seen.owed
        seen.owed = owes
        if owes and owed:
            connection.suspect = True
        elif owes or not self.idle_interval or seen.silent_beats < self._beats(self.idle_interval):
            return
        # The first beat after the probe may come before what a blocked loop has not read yet.
        seen.beats_to_loss = seen.silent_beats + max(2, self._beats(self.timeout))
        probe = connection.request(Options())
        probe.add_done_callback(_drop_result)

    def _beats(self, seconds: float) -> int:
        return max(1, round(seconds / self.interval))


def heartbeat_of(
    connections: Callable[[], Iterable[Connection]], idle_interval: float, timeout: float | None
) -> Heartbeat:
    """Build a heartbeat that beats often enough for its settings.

    :param idle_interval: seconds without traffic after which a connection is probed; 0 for never
    :param timeout: seconds that a probe may stay unanswered; ``None`` for the default
    """
    heartbeat = Heartbeat(connections, idle_interval=idle_interval)
    shortest = heartbeat.interval
    if idle_interval:
        shortest = min(shortest, idle_interval / 2)
    if timeout is not None:
        heartbeat.timeout = timeout
        shortest = min(shortest, timeout / 2)
    heartbeat.interval = max(shortest, SHORTEST_BEAT)
    return heartbeat


def _drop_result(probe: asyncio.Future[Response]) -> None:
    if not probe.cancelled():
        probe.exception()
