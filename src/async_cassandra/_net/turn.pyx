"""One callback of the loop and what is put off to its end: waking those who waited, then the writes.

Theory. Responses that arrive together end their requests, the tasks that waited for these go on and send the next
ones, and those leave in one write. Each of the three could be a callback of its own, and each would cost the loop a
turn with a look at the sockets. So a connection that reads begins a turn, and the turn's end does the others, in the
same callback.
"""


cdef class Turn:
    """Shared by the connections whose requests wake the same tasks.

    Concurrency: the loop's thread only; no task may be running when one begins.
    """

    def __cinit__(self, loop):
        self.loop = loop
        self.flushes = []

    cdef bint begin(self) noexcept:
        """Whether this is the begin, which calls for an :meth:`end`, and not part of one that is on."""
        cdef bint is_begin = not self.is_on
        self.is_on = True
        return is_begin

    cdef int end(self) except -1:
        """Wake who waited, then write what was sent."""
        try:
            self.wake()
        except (KeyboardInterrupt, SystemExit) as error:
            # It ends the loop's run from a callback of the loop's own; a transport might keep it.
            self.loop.call_soon(_raise, error)
        finally:
            self.is_on = False
            self.flush()
        return 0

    cdef int wake(self) except -1:
        """Run what waited for what has ended."""
        return 0

    cdef int flush(self) except -1:
        for flush in self.flushes:
            flush()
        self.flushes.clear()
        return 0

    cdef int flush_at_end(self, object flush) except -1:
        """Have ``flush()`` called at the end of the turn, in a turn of its own if none is on."""
        if self.is_on:
            self.flushes.append(flush)
        else:
            self.loop.call_soon(flush)
        return 0


def _raise(error):
    raise error
