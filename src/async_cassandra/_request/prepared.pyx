"""A prepared query: how to bind it, the shape of its rows as last told, and preparing it again.

Theory. The shape is replaced as a whole. An attempt keeps the one whose metadata id it sent, because
the reply without metadata has exactly that shape, whatever other replies have brought meanwhile.

EXECUTE does not carry the parameters' types, and a node to which any client has sent the text
again accepts bytes of the types that they had before. So a query is in one of three states: trusted;
doubted, since a schema change may affect it, until a PREPARE shows that its parameters are
the same or that user-defined types in them have got further fields; changed, for good.
"""

from async_cassandra._wire.binding cimport BindPlan, BoundValues
from async_cassandra._wire.requests cimport Prepare
from async_cassandra._wire.responses cimport Prepared, RowPlans
from async_cassandra._wire.rows cimport ResultMetadata, RowPlan

from async_cassandra._cql.analysis import MarkerStyle, Repetition
from async_cassandra._cql.redaction import without_literals
from async_cassandra._request.schema_events import have_grown
from async_cassandra._wire.errors import ParameterError
from async_cassandra.exceptions import ConfigurationError, StatementChangedError, from_wire

cdef int READ = Repetition.READ
# What a parameter's type says of its write: a list may be written as a whole, which a repetition does not replace.
cdef dict BY_TYPE = {"counter": Repetition.NEVER, "list": Repetition.UNKNOWN}


cdef class ResultShape:
    """The columns of a result under the server's id for them; ``metadata_id`` is ``None`` on v4."""

    def __cinit__(self, bytes metadata_id, tuple columns):
        self.metadata_id = metadata_id
        self.columns = columns if columns is not None else ()

    cdef RowPlan plan(self, RowPlans plans, bint as_tuples):
        """How to decode rows of this shape."""
        if plans.registry.encryption is not None:
            # Which columns are encrypted may change at any time.
            return plans.plan(self.columns, as_tuples)
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
    :param info: the tokenizer's analysis of it
    :param mark: what the text that was prepared ends with, beyond the query
    :ivar used_keyspace: that of a USE, which is never sent as it is; ``None`` for any other query
    """

    def __cinit__(self, str query not None, str keyspace, Prepared prepared not None, info, RowPlans plans not None,
                  str mark not None=""):
        cdef ResultMetadata bound = prepared.bind_metadata
        self.query = query
        self.mark = mark
        self.keyspace = keyspace
        self.prepared_id = prepared.prepared_id
        self.plans = plans
        self.encryption = plans.registry.encryption
        self.markers_named = info.markers is MarkerStyle.NAMED
        self.used_keyspace = info.keyspace_change
        self.is_trusted = self.used_keyspace is None
        self.take_columns(bound)
        self.shape = ResultShape(prepared.result_metadata_id, prepared.result_metadata.columns)
        self.routing_keyspace = bound.columns[0].keyspace if bound.columns else keyspace
        self.is_read = info.is_read
        self.repetition = info.repetition
        if not info.is_read:
            for column in bound.columns:
                self.repetition = min(self.repetition, BY_TYPE.get(column.type.name, READ))

    cdef int take_columns(self, ResultMetadata bound) except -1:
        self.bind_columns = bound.columns
        self.partition_key = bound.partition_key_indexes
        self.bind_plan = BindPlan(bound.columns, self.plans.registry, bound.partition_key_indexes, self.markers_named)
        return 0

    def is_ready(self, RowPlans plans):
        """Whether it is of the session that has ``plans``, and need not be compared with what the server has."""
        return self.is_trusted and self.plans is plans

    def doubt(self):
        """Have it compared with the server's before it is executed again."""
        self.doubts += 1
        self.is_trusted = False

    def trust(self, int doubts):
        """Take it for compared, unless it was doubted since there were so many ``doubts``, or has changed."""
        if self.doubts == doubts and self.changed is None and self.used_keyspace is None:
            self.is_trusted = True

    cpdef int check(self) except -1:
        """Refuse what was bound by types that the server no longer has, and a USE where it is not the whole request."""
        if self.used_keyspace is not None:
            raise ConfigurationError("USE changes the keyspace of the session: it cannot be part of a batch")
        if self.changed is not None:
            raise self.change(self.changed)
        return 0

    cdef object change(self, str what):
        """The exception of a request that would have executed it."""
        return StatementChangedError(
            f"The schema changed since this statement was prepared: {what}. Nothing was executed. Prepare it again "
            f"and bind its values again: {without_literals(self.query[:200])}")

    def message(self, str connection_keyspace):
        """The PREPARE to send; the keyspace is left out where the connection has it already."""
        return Prepare(self.query + self.mark, None if self.keyspace == connection_keyspace else self.keyspace)

    cpdef BoundValues bind(self, values, bint partial=False):
        """Encode values, by position or by name, see :meth:`.BindPlan.bind`.

        :param partial: whether positions may be missing at the end, which are unset then
        :raises ~async_cassandra.exceptions.ParameterTypeError: if a value's type does not fit
        :raises ~async_cassandra.exceptions.ParameterValueError: if a value is out of range, or their number or a name
            is wrong
        """
        # A reference of its own: binding may run the application's code, and with it whatever gives this another plan.
        cdef BindPlan plan = self.bind_plan
        try:
            return plan.bind(values, partial)
        except ParameterError as error:
            raise from_wire(error) from error.__cause__

    def bind_encoded(self, values):
        """Take values that another session has encoded.

        :raises ~async_cassandra.exceptions.ParameterValueError: if there are too many, or one is not encrypted that
            has to be
        """
        try:
            return self.bind_plan.bind_encoded(values)
        except ParameterError as error:
            raise from_wire(error) from error.__cause__

    def reshape(self, ResultMetadata metadata not None):
        """Take the changed metadata that came with a reply."""
        self.shape = ResultShape(metadata.new_metadata_id, metadata.columns)
        return self.shape

    def renew(self, Prepared prepared not None, bint is_certain):
        """Take what another PREPARE gave; return the exception if values bound before no longer fit, else ``None``.

        :param is_certain: whether the node has every schema change that is known of. What another one says is
            reason enough to doubt the statement, and not to take it for changed.
        """
        cdef ResultMetadata bound = prepared.bind_metadata
        if prepared.prepared_id != self.prepared_id:
            return self.change(f"its id is {prepared.prepared_id.hex()} instead of {self.prepared_id.hex()}")
        if prepared.result_metadata_id != self.shape.metadata_id or prepared.result_metadata_id is None:
            self.shape = ResultShape(prepared.result_metadata_id, prepared.result_metadata.columns)
        if self.changed is None and bound.columns != self.bind_columns:
            if have_grown(self.bind_columns, bound.columns):
                self.take_columns(bound)
                return None
            self.doubt()
            if not is_certain:
                return self.change("its parameters have other types on some nodes")
            self.changed = "its parameters now have other types"
        return None if self.changed is None else self.change(self.changed)


def other_keyspace(str query not None, keyspace, connection_keyspace):
    """Build the exception for a query whose unqualified names protocol v4 cannot express on a connection."""
    return ConfigurationError(
        f"Protocol v4 only knows the session's keyspace, which is {connection_keyspace!r} now, and the unqualified "
        f"names of this statement mean {keyspace!r}: {without_literals(query[:200])}. Qualify its names, or leave "
        "protocol_version out to speak v5; a prepared statement can also be prepared again")
