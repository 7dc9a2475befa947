from async_cassandra._wire.binding cimport BindPlan, BoundValues
from async_cassandra._wire.responses cimport RowPlans
from async_cassandra._wire.rows cimport ResultMetadata, RowPlan


cdef class ResultShape:
    cdef readonly bytes metadata_id
    cdef readonly tuple columns
    # How to decode them, once they were asked for.
    cdef RowPlan rows
    cdef RowPlan tuples

    cdef RowPlan plan(self, RowPlans plans, bint as_tuples)


cdef class PreparedQuery:
    cdef object __weakref__
    cdef readonly bytes prepared_id
    cdef readonly str query
    # What the text that was prepared ends with, beyond the query.
    cdef str mark
    # What unqualified names in it mean, None for none; and where its rows are.
    cdef readonly str keyspace
    cdef readonly str routing_keyspace
    # The session's: which session it is of is told by these.
    cdef readonly RowPlans plans
    cdef readonly object encryption
    # Its parameters: columns, indexes of the partition key's, how to encode them, by name or by position.
    cdef readonly tuple bind_columns
    cdef readonly tuple partition_key
    cdef readonly BindPlan bind_plan
    cdef bint markers_named
    # Its rows as they were last told.
    cdef readonly ResultShape shape
    # What its text and its parameters say of it: no write; a Repetition; the keyspace of a USE.
    cdef readonly bint is_read
    cdef readonly int repetition
    cdef readonly str used_keyspace
    # Whether it may be executed as it is; how often it was doubted; what changed so that it no longer may.
    cdef readonly bint is_trusted
    cdef readonly int doubts
    cdef readonly str changed

    cpdef BoundValues bind(self, values, bint partial=*)
    cdef int take_columns(self, ResultMetadata bound) except -1
    cpdef int check(self) except -1
    cdef object change(self, str what)
