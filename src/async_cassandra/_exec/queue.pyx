"""The queue of those that no connection could take."""

from collections import deque


cdef class QueueEntry(Timer):
    """Something that may wait in a :class:`WaitQueue`, in one at a time."""

    cdef bint take_turn(self) except -1:
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

    One that leaves before its turn stays in ``entries`` unmarked; there are never many more of those than of the
    ``size`` that wait.
    """

    def __cinit__(self):
        self.entries = deque()

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
        cdef list missed = []
        if self.serving:
            return 0
        self.serving = True
        try:
            while self.entries:
                entry = self.entries.popleft()
                if not entry.is_queued or entry.take_turn():
                    continue
                missed.append(entry)
                if entry.has_free_choice():
                    break
            self.entries.extendleft(reversed(missed))
        finally:
            self.serving = False
        return 0

    cdef int abandon(self, object error) except -1:
        for entry in self.waiting():
            (<QueueEntry>entry).abandon(error)
        return 0

    cdef list waiting(self):
        return [entry for entry in self.entries if (<QueueEntry>entry).is_queued]
