"""The queue of the requests that no connection could take."""

from collections import deque

# Those that may leave the queue in one turn of the loop, a millisecond of work.
DEF SERVED_PER_TURN = 256


cdef class WaitQueue:
    """What waits for a place, oldest first.

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

    cdef int join(self, Waiting entry, double now) except -1:
        if len(self.entries) > 2 * self.size + 64:
            self.entries = deque(self.waiting())
        entry.is_queued = True
        entry.queued_at = now
        self.size += 1
        self.entries.append(entry)
        return 0

    cdef int leave(self, Waiting entry, double now) except -1:
        entry.is_queued = False
        entry.queued_seconds += now - entry.queued_at
        self.size -= 1
        if self.size == 0:
            self.entries.clear()
        return 0

    cdef int serve(self) except -1:
        """Give each its turn, oldest first, as far as there is place."""
        cdef Waiting entry
        cdef list missed = None
        cdef int budget = SERVED_PER_TURN
        cdef int way_out
        cdef double now
        if self.serving or self.is_blocked or not self.has_place():
            return 0
        now = self.timers.now()
        self.serving = True
        try:
            while self.entries and budget:
                entry = <Waiting>self.entries.popleft()
                if not entry.is_queued:
                    continue
                way_out = entry.try_to_leave(now)
                if way_out == LEFT_QUEUE:
                    budget -= 1
                    continue
                if missed is None:
                    missed = []
                missed.append(entry)
                if way_out == FOUND_ALL_FULL:
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

    cdef list waiting(self):
        return [entry for entry in self.entries if (<Waiting>entry).is_queued]
