cimport cython
from libc.stdint cimport uint8_t

from async_cassandra._net.connection cimport Connection, NodeConnections, ResponseHandler
from async_cassandra._request.prepared cimport PreparedQuery
from async_cassandra._wire.responses cimport Response


# What a PREPARE came to, and the reason that goes with it.
cdef enum PrepareOutcome:
    PREPARED  # None: go on
    CHANGED  # an exception: values bound before no longer fit
    REFUSED  # the Response with the server's ERROR
    UNREADABLE  # an exception: the answer came whole and cannot be read
    LOST  # an exception: the connection was lost


@cython.no_gc
cdef class Preparing(ResponseHandler):
    cdef int on_prepare_ended(self, int outcome, object reason) except -1


cdef class PrepareFlight(ResponseHandler):
    cdef PreparedQuery prepared
    cdef PrepareFlights flights
    # The query's doubts when it was sent: later ones are not dispelled by its answer.
    cdef int doubts
    cdef tuple key
    cdef list waiting

    cdef int tell(self, int outcome, object reason) except -1
    cdef object compare(self, Connection connection, Response response)


cdef class PrepareFlights:
    # By connection and prepared id.
    cdef dict flights
    cdef public NodeConnections informed

    cpdef bint is_informed(self, NodeConnections node)
    cdef int join(self, Preparing attempt, Connection connection, PreparedQuery prepared) except -1
