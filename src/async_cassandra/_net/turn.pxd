cdef class Turn:
    cdef readonly object loop
    cdef bint is_on
    # Callables of the connections that have something to write at its end.
    cdef list flushes

    cdef bint begin(self) noexcept
    cdef int end(self) except -1
    cdef int wake(self) except -1
    cdef int flush(self) except -1
    cdef int flush_at_end(self, object flush) except -1
