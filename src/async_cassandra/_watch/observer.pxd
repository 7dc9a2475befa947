cdef class Observer:
    cpdef on_started(self, request)
    cpdef on_queued(self, request)
    cpdef on_sent(self, request, str endpoint, bint is_speculative)
    cpdef on_attempt_failed(self, request, str endpoint, error)
    cpdef on_retried(self, request, error, double delay)
    cpdef on_page(self, request, before)
    cpdef on_finished(self, request, error, double seconds)
    cpdef on_connection_opened(self, str endpoint)
    cpdef on_connection_lost(self, str endpoint, error)
    cpdef on_node_up(self, str endpoint)
    cpdef on_node_down(self, str endpoint)


cdef class Observers(Observer):
    # Whether they are told at present.
    cdef public bint enabled
    cdef readonly tuple members
    # The id() of each that has failed.
    cdef set reported
    cdef object __weakref__

    cdef int report(self, Observer member) except -1
    cdef int tell(self, str event, tuple arguments) except -1
