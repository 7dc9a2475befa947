cdef class Timer:
    cdef double due
    cdef Timer previous
    cdef Timer next
    cdef TimerList timer_list

    cdef int on_due(self) except -1


cdef class TimerList:
    cdef double delay
    cdef Timer head
    cdef Timer tail

    cdef void unlink(self, Timer timer) noexcept


cdef class TimerQueue:
    cdef object loop
    cdef object clock
    cdef dict lists
    cdef TimerList recent
    cdef double recent_delay
    cdef object handle
    cdef object fire_callback
    cdef double armed_for
    cdef readonly Py_ssize_t size

    cdef double now(self) except? -1.0
    cdef TimerList list_of(self, double delay)
    cdef int start(self, Timer timer, double delay, double now) except -1
    cdef void stop(self, Timer timer) noexcept
    cdef int arm(self, double due) except -1
    cdef int fire_list(self, TimerList timers, double now, int budget) except -1
