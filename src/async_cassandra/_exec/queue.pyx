"""The queue of those that no connection could take."""

from collections import deque

# Those that may leave the queue in one turn of the loop, a millisecond of work.
DEF SERVED_PER_TURN = 256


cdef class QueueEntry(Timer):
    """Something that may wait in a :class:`WaitQueue`, in one at a time."""

    cdef bint take_turn(self, double now) except -1:
        """Go on if that is possible now; return whether it left the queue. Must not raise."""
        raise NotImplementedError

    cdef bint has_free_choice(self) except -1:
        """Whether any free place would do, so that none behind it finds one if it finds none."""
        raise NotImplementedError

    cdef int abandon(self, object error) except -1:
        """Fail with ``error``, unless an answer may still come."""
        raise NotImplementedError


cdef class WaitQueue:
    """Entries that wait for a place, oldest first.

    A turn of the loop serves a bounded number; if there is place for more, the next turn goes on.

    :param nodes: whose connections have the places, by host
    :param timers: whose clock counts the time in the queue
    :ivar is_blocked: no connection has a place, and none has told since that it does

    One that leaves before its turn stays in ``entries`` unmarked; there are never many more of those than of the
    ``size`` that wait.
    """

    def __cinit__(self, loop, dict nodes not None, TimerQueue timers not None):
        self.entries = deque()
        self.loop = loop
        self.nodes = nodes
        self.timers = timers
        self.callback = self.go_on

    cdef int join(self, QueueEntry entry, double now) except -1:
        if len(self.entries) > 2 * self.size + 64:
            self.entries = deque(self.waiting())
        entry.is_queued = True
        entry.queued_at = now
        self.size += 1
        self.entries.append(entry)
        return 0

    cdef int leave(self, QueueEntry entry, double now) except -1:
        entry.is_queued = False
        entry.queued_seconds += now - entry.queued_at
        self.size -= 1
        if self.size == 0:
            self.entries.clear()
        return 0

    cdef int serve(self) except -1:
        """Give each its turn, oldest first, as far as there is place."""
        cdef QueueEntry entry
        cdef list missed = None
        cdef int budget = SERVED_PER_TURN
        cdef double now
        if self.serving or self.is_blocked or not self.has_place():
            return 0
        now = self.timers.now()
        self.serving = True
        try:
            while self.entries and budget:
                entry = <QueueEntry>self.entries.popleft()
                if not entry.is_queued:
                    continue
                if entry.take_turn(now):
                    budget -= 1
                    continue
                if missed is None:
                    missed = []
                missed.append(entry)
                if entry.has_free_choice():
                    self.is_blocked = True
                if self.is_blocked or not self.has_place():
                    break
            if missed is not None:
                self.entries.extendleft(reversed(missed))
        finally:
            self.serving = False
        if not budget and self.size and not self.goes_on:
            self.goes_on = True
            self.loop.call_soon(self.callback)
        return 0

    def go_on(self):
        """Serve those for whom the turn before had no time."""
        self.goes_on = False
        self.serve()

    cdef int on_available(self) except -1:
        """Serve, since a connection has a place that had none."""
        self.is_blocked = False
        return self.serve()

    cdef bint has_place(self) except -1:
        """Whether any connection can take a request; those that cannot tell when they can."""
        cdef NodeConnections node
        for node in self.nodes.values():
            if node.pick() is not None:
                return True
        self.is_blocked = True
        return False

    cdef int abandon(self, object error) except -1:
        for entry in self.waiting():
            (<QueueEntry>entry).abandon(error)
        return 0

    cdef list waiting(self):
        return [entry for entry in self.entries if (<QueueEntry>entry).is_queued]
