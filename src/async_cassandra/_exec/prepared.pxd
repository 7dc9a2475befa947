cimport cython
from libc.stdint cimport uint8_t

from async_cassandra._net.connection cimport Connection, NodeConnections, ResponseHandler
from async_cassandra._wire.binding cimport BindPlan, BoundValues
from async_cassandra._wire.responses cimport Response, RowPlans
from async_cassandra._wire.rows cimport ResultMetadata, RowPlan


cdef class ResultShape:
    cdef readonly bytes metadata_id
    cdef readonly tuple columns
    cdef RowPlan rows
    cdef RowPlan tuples

    cdef RowPlan plan(self, RowPlans plans, bint as_tuples)


cdef class PreparedQuery:
    cdef readonly str query
    cdef str mark
    cdef readonly str keyspace
    cdef readonly bytes prepared_id
    cdef readonly BindPlan bind_plan
    cdef readonly object encryption
    cdef readonly ResultShape shape
    cdef readonly tuple bind_columns
    cdef readonly RowPlans plans
    cdef bint markers_named
    cdef readonly tuple partition_key
    cdef readonly str routing_keyspace
    cdef object __weakref__
    cdef readonly bint is_read
    cdef readonly int repetition
    cdef readonly bint is_trusted
    cdef readonly int doubts
    cdef readonly str changed
    cdef readonly str used_keyspace

    cpdef BoundValues bind(self, values, bint partial=*)
    cdef int take_columns(self, ResultMetadata bound) except -1
    cpdef int check(self) except -1
    cdef object change(self, str what)


cdef class StatementOptions:
    cdef public object retry_policy
    cdef public object consistency_level
    cdef public object serial_consistency_level
    cdef public object fetch_size
    cdef public object custom_payload
    cdef public object is_idempotent
    cdef bint takes_no_default


cdef class PreparedOptions(StatementOptions):
    cdef public PreparedQuery prepared


cdef StatementOptions options_of(statement)


cdef class PrepareFlights


@cython.no_gc
cdef class Preparing(ResponseHandler):
    cdef int on_prepared(self, object change) except -1
    cdef int on_prepare_refused(self, Response response) except -1
    cdef int on_prepare_unreadable(self, object error) except -1
    cdef int on_prepare_lost(self, object error) except -1


cdef class PrepareFlight(ResponseHandler):
    cdef PreparedQuery prepared
    cdef PrepareFlights flights
    cdef int doubts
    cdef tuple key
    cdef list waiting

    cdef int lose(self, object error) except -1
    cdef object compare(self, Connection connection, Response response)


cdef class PrepareFlights:
    cdef dict flights
    cdef public NodeConnections informed

    cpdef bint is_informed(self, NodeConnections node)
    cdef int join(self, Preparing attempt, Connection connection, PreparedQuery prepared) except -1
