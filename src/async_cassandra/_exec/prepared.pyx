"""What is known of a prepared query: how to bind it, and the shape of its rows as the server last told.

The shape is replaced as a whole. A request keeps the one whose metadata id it sent, because the reply without metadata has
exactly that shape, whatever other replies have brought meanwhile.
"""

from async_cassandra._wire.binding cimport BindPlan
from async_cassandra._wire.requests cimport Prepare
from async_cassandra._wire.responses cimport Prepared, RowPlans
from async_cassandra._wire.rows cimport ResultMetadata, RowPlan


cdef class ResultShape:
    """The columns of a result under the server's id for them; ``metadata_id`` is ``None`` on v4."""

    def __init__(self, bytes metadata_id, tuple columns):
        self.metadata_id = metadata_id
        self.columns = columns if columns is not None else ()

    cdef RowPlan plan(self, RowPlans plans, bint as_tuples):
        """How to decode rows of this shape."""
        if self.generation != plans.generation:
            self.rows = self.tuples = None
            self.generation = plans.generation
        if as_tuples:
            if self.tuples is None:
                self.tuples = plans.plan(self.columns, True)
            return self.tuples
        if self.rows is None:
            self.rows = plans.plan(self.columns, False)
        return self.rows


cdef class PreparedQuery:
    """A query that a server has prepared.

    :param keyspace: the keyspace that unqualified names in it mean, ``None`` for none
    :param info: what the tokenizer says of it
    """

    def __init__(self, str query not None, str keyspace, Prepared prepared not None, info, RowPlans plans not None):
        cdef ResultMetadata bound = prepared.bind_metadata
        self.query = query
        self.keyspace = keyspace
        self.prepared_id = prepared.prepared_id
        self.bind_columns = bound.columns
        self.partition_key = bound.partition_key_indexes
        self.bind_plan = BindPlan(bound.columns, plans.registry, bound.partition_key_indexes)
        self.shape = ResultShape(prepared.result_metadata_id, prepared.result_metadata.columns)
        self.routing_keyspace = bound.columns[0].keyspace if bound.columns else keyspace
        self.is_counter = any(column.type.name == "counter" for column in bound.columns)
        self.is_read = info.is_read
        self.is_conditional = info.is_conditional
        self.inferred_idempotent = info.inferred_idempotent

    def message(self, str connection_keyspace):
        """The PREPARE to send; the keyspace is left out where the connection has it already."""
        return Prepare(self.query, None if self.keyspace == connection_keyspace else self.keyspace)

    def reshape(self, ResultMetadata metadata not None):
        """Take the changed metadata that came with a reply."""
        self.shape = ResultShape(metadata.new_metadata_id, metadata.columns)
        return self.shape

    def renew(self, Prepared prepared not None):
        """Take what another PREPARE gave; return what no longer fits values bound before, ``None`` if all does."""
        if prepared.prepared_id != self.prepared_id:
            return f"the server gave it id {prepared.prepared_id.hex()} instead of {self.prepared_id.hex()}"
        if prepared.result_metadata_id != self.shape.metadata_id or prepared.result_metadata_id is None:
            self.shape = ResultShape(prepared.result_metadata_id, prepared.result_metadata.columns)
        if prepared.bind_metadata.columns != self.bind_columns:
            return "its parameters have other types than when it was prepared"
        return None
