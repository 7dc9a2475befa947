"""Where requests wait: for their due times, with one timer of the loop, and for a place, in a queue.

Timers of one delay are due in the order in which they start, so each distinct delay is a list:
starting appends, stopping unlinks, and the earliest one due is among the heads. Delays are rounded
up to a thousandth of their size and at least a millisecond, which bounds the number of lists; a
timer is never early. Of many that are due at once, a turn of the loop runs a bounded number.
"""

from collections import deque

cimport cython
from libc.math cimport ceil, floor, log10, pow

# The error of a request that timed out takes some 30 µs to make.
DEF DUE_PER_TURN = 128
# Those that may leave the queue in one turn of the loop, a millisecond of work.
DEF SERVED_PER_TURN = 256


cdef class Waiting:
    """What timers and the queue hold: something that has a due time, or waits for its turn, or both."""

    cpdef int on_due(self) except -1:
        """Take note that the time has come."""
        raise NotImplementedError

    cdef int try_to_leave(self, double now) except -1:
        """Go on if that is possible now, and say what came of it.

        ``LEFT_QUEUE``: it went on, or failed; ``FOUND_NO_PLACE``: the nodes that it may go to are full;
        ``FOUND_ALL_FULL``: all nodes are, for those behind it as well. Must not raise.
        """
        raise NotImplementedError


cdef class TimerList:
    """Timers of one delay, earliest first."""

    cdef void unlink(self, Waiting timer) noexcept:
        if timer.previous is None:
            self.head = timer.next
        else:
            timer.previous.next = timer.next
        if timer.next is None:
            self.tail = timer.previous
        else:
            timer.next.previous = timer.previous
        timer.previous = None
        timer.next = None
        timer.timer_list = None


cdef double rounded(double delay) noexcept:
    cdef double step = 0.001
    if delay > 1.0:
        step = pow(10.0, floor(log10(delay)) - 3)
    return ceil(delay / step) * step


@cython.final
cdef class TimerQueue:
    """The timers of one loop.

    :param loop: runs the callbacks; every call is on its thread
    :param clock: seconds; ``None`` for the one that ``loop.call_at`` counts in
    """

    def __cinit__(self, loop, clock=None):
        self.loop = loop
        self.clock = clock
        self.lists = {}
        self.fire_callback = self.fire
        self.armed_for = 0.0

    def __len__(self):
        return self.size

    cdef TimerList list_of(self, double delay):
        """The timers of this delay; most are of the same one as those before."""
        cdef double whole
        cdef TimerList timers = self.recent
        if timers is not None and delay == self.recent_delay:
            return timers
        whole = rounded(delay) if delay > 0 else 0.0
        timers = <TimerList>self.lists.get(whole)
        if timers is None:
            timers = TimerList()
            timers.delay = whole
            self.lists[whole] = timers
        self.recent = timers
        self.recent_delay = delay
        return timers

    cpdef int start(self, Waiting timer, double delay, double now) except -1:
        """Let ``timer`` be due ``delay`` seconds after ``now``; a timer that runs already starts again."""
        if timer is None:
            raise TypeError("there is no timer to start")
        if timer.timer_list is not None:
            self.stop(timer)
        cdef TimerList timers = self.list_of(delay)
        timer.due = now + timers.delay
        timer.timer_list = timers
        timer.previous = timers.tail
        if timers.tail is None:
            timers.head = timer
        else:
            timers.tail.next = timer
        timers.tail = timer
        self.size += 1
        if self.handle is None or timer.due < self.armed_for:
            self.arm(timer.due)
        return 0

    cpdef void stop(self, Waiting timer) noexcept:
        if timer is not None and timer.timer_list is not None:
            timer.timer_list.unlink(timer)
            self.size -= 1

    cdef int arm(self, double due) except -1:
        if self.handle is not None:
            self.handle.cancel()
        self.armed_for = due
        self.handle = self.loop.call_at(self.loop.time() + max(0.0, due - self.now()), self.fire_callback)
        return 0

    def fire(self):
        """Run what is due and arm the loop's timer for what comes next."""
        self.handle = None
        cdef double now = self.now()
        cdef double earliest = 0.0
        cdef int budget = DUE_PER_TURN
        cdef TimerList timers
        for timers in list(self.lists.values()):
            budget = self.fire_list(timers, now, budget)
            # A timer that runs the loop may have dropped the list already, or had another one made.
            if timers.head is None and self.lists.get(timers.delay) is timers:
                del self.lists[timers.delay]
                # Whatever is due next may start a timer of this delay.
                self.recent = None
        for timers in self.lists.values():
            if timers.head is not None and (earliest == 0.0 or timers.head.due < earliest):
                earliest = timers.head.due
        if budget == 0 and self.fire_callback is not None:
            # What is due and did not get its turn is earlier than all that follows.
            if self.handle is not None:
                self.handle.cancel()
            self.armed_for = now
            self.handle = self.loop.call_soon(self.fire_callback)
        elif earliest != 0.0 and (self.handle is None or earliest < self.armed_for):
            self.arm(earliest)

    cdef int fire_list(self, TimerList timers, double now, int budget) except -1:
        """Run what is due, at most ``budget`` timers; return what is left of the budget."""
        cdef Waiting timer
        while budget and timers.head is not None and timers.head.due <= now:
            budget -= 1
            timer = timers.head
            self.stop(timer)
            try:
                timer.on_due()
            except Exception as error:  # noqa: BLE001  one timer's fault must not stop the others
                self.loop.call_exception_handler({"message": "a request's timer failed", "exception": error})
        return budget

    def running(self):
        """Every timer that is to be due, in no particular order."""
        cdef list found = []
        cdef TimerList timers
        cdef Waiting timer
        for timers in self.lists.values():
            timer = timers.head
            while timer is not None:
                found.append(timer)
                timer = timer.next
        return found

    def close(self):
        """Drop every timer without running it."""
        cdef TimerList timers
        for timers in self.lists.values():
            while timers.head is not None:
                self.stop(timers.head)
        self.lists.clear()
        self.recent = None
        if self.handle is not None:
            self.handle.cancel()
            self.handle = None
        self.fire_callback = None


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
