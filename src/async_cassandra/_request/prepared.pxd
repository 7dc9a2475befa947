from async_cassandra._wire.binding cimport BindPlan, BoundValues
from async_cassandra._wire.responses cimport RowPlans
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
