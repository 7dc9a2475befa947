"""A prepared query: how to bind it, the shape of its rows as last told, and preparing it again.

Theory. The shape is replaced as a whole. An attempt keeps the one whose metadata id it sent, because
the reply without metadata has exactly that shape, whatever other replies have brought meanwhile.

Nothing in EXECUTE speaks of the parameters' types, and a node to which any client has sent the text
again takes bytes of the types that they had before. So a query is in one of three states: trusted;
doubted, since a change of the schema may concern it, until a PREPARE shows that its parameters are
the same or that user-defined types in them have got further fields; changed, for good.
"""

from cassandra.query import FETCH_SIZE_UNSET

cimport cython

from async_cassandra._wire.binding cimport BindPlan, BoundValues
from async_cassandra._wire.requests cimport Prepare
from async_cassandra._wire.responses cimport Prepared, Response, RowPlans, decode_response
from async_cassandra._wire.rows cimport ResultMetadata, RowPlan

from async_cassandra._exec.cql import MarkerStyle, Repetition
from async_cassandra._exec.redaction import without_literals
from async_cassandra._exec.schema_events import have_grown
from async_cassandra._net.errors import ConnectionLost
from async_cassandra._wire.errors import ParameterError, ProtocolError
from async_cassandra.exceptions import ConfigurationError, StatementChangedError, from_wire

cdef object UNSET_FETCH_SIZE = FETCH_SIZE_UNSET
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
    :param info: what the tokenizer says of it
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
            raise ConfigurationError("USE changes the keyspace of the session: it cannot be a part of a batch")
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

        :param is_certain: whether the node has every change of the schema that is known of. What another one says is
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
            self.changed = "its parameters have other types now"
        return None if self.changed is None else self.change(self.changed)


def other_keyspace(str query not None, keyspace, connection_keyspace):
    """The exception of a query whose unqualified names protocol v4 cannot say on a connection."""
    return ConfigurationError(
        f"Protocol v4 knows no keyspace but the session's, which is {connection_keyspace!r} now, and the unqualified "
        f"names of this statement mean {keyspace!r}: {without_literals(query[:200])}. Qualify its names, or leave "
        "protocol_version out to speak v5; a prepared statement can also be prepared again")


cdef class StatementOptions:
    """What a statement asks for each of its executions.

    ``None``, and the driver's mark for no ``fetch_size``, leave it to the execution profile and the session.

    :ivar takes_no_default: ``is_idempotent`` may be meant as no, so the profile's yes is not for it
    """

    def __cinit__(self, *args, **kwargs):
        self.fetch_size = UNSET_FETCH_SIZE


cdef class PreparedOptions(StatementOptions):
    """The same of a prepared statement, with its query."""


class OwnMark:
    """A statement whose ``is_idempotent`` is ``None`` as long as nobody sets it, so that ``False`` is a no."""


cdef StatementOptions options_of(statement):
    """The options of any statement: the statement itself where it is one of them, else a copy of its attributes."""
    cdef StatementOptions options
    if isinstance(statement, StatementOptions):
        return <StatementOptions>statement
    options = StatementOptions.__new__(StatementOptions)
    options.retry_policy = statement.retry_policy
    options.consistency_level = statement.consistency_level
    options.serial_consistency_level = statement.serial_consistency_level
    options.fetch_size = statement.fetch_size
    options.custom_payload = statement.custom_payload
    options.is_idempotent = statement.is_idempotent
    if options.is_idempotent is False and not isinstance(statement, OwnMark):
        # The driver's classes say False where nothing was said.
        options.is_idempotent = None
        options.takes_no_default = True
    return options


@cython.no_gc
cdef class Preparing(ResponseHandler):
    """An attempt that may wait until its statement is prepared; one of the four is called, once."""

    cdef int on_prepared(self, object change) except -1:
        """Go on, or fail with ``change`` if that is an exception: values bound before no longer fit."""
        raise NotImplementedError

    cdef int on_prepare_refused(self, Response response) except -1:
        """Take the server's ERROR."""
        raise NotImplementedError

    cdef int on_prepare_unreadable(self, object error) except -1:
        """Take note that the answer came whole and cannot be read; nothing was executed."""
        raise NotImplementedError

    cdef int on_prepare_lost(self, object error) except -1:
        """Take note that the connection was lost; nothing was executed."""
        raise NotImplementedError


cdef class PrepareFlight(ResponseHandler):
    """One PREPARE on one connection, with every attempt that waits for it.

    :param flights: where it is found under ``key`` while it is under way
    """

    def __cinit__(self, PreparedQuery prepared not None, PrepareFlights flights not None, tuple key not None):
        self.prepared = prepared
        self.doubts = prepared.doubts
        self.flights = flights
        self.key = key
        self.waiting = []

    cdef int on_response(self, Connection connection, uint8_t flags, uint8_t opcode,
                         const unsigned char* body, Py_ssize_t size) except -1:
        cdef Response response
        cdef Preparing attempt
        del self.flights.flights[self.key]
        try:
            response = decode_response(connection.version, flags, opcode, body, size, None, None, False)
            if response.error is None and response.prepared is None:
                raise ProtocolError("a PREPARE was answered by something else")
        except ProtocolError as error:
            for attempt in self.waiting:
                attempt.on_prepare_unreadable(error)
            return 0
        change = self.compare(connection, response)
        for attempt in self.waiting:
            if response.error is not None and change is None:
                attempt.on_prepare_refused(response)
            else:
                attempt.on_prepared(change)
        return 0

    cdef object compare(self, Connection connection, Response response):
        """What speaks against executing the query: an exception, or ``None``."""
        cdef PreparedQuery prepared = self.prepared
        if connection.version < 5 and prepared.keyspace is not None and prepared.keyspace != connection.keyspace:
            # The node took its unqualified names for those of another keyspace. Its id tells whether it has any.
            if response.error is not None or response.prepared.prepared_id != prepared.prepared_id:
                return other_keyspace(prepared.query, prepared.keyspace, connection.keyspace)
        if response.error is not None:
            return None
        cdef bint is_certain = self.flights.is_informed(connection.node)
        change = prepared.renew(response.prepared, is_certain)
        if change is None and is_certain:
            prepared.trust(self.doubts)
        return change

    cdef int on_lost(self, Connection connection, object error) except -1:
        del self.flights.flights[self.key]
        return self.lose(error)

    cdef int lose(self, object error) except -1:
        cdef Preparing attempt
        for attempt in self.waiting:
            attempt.on_prepare_lost(error)
        return 0


cdef class PrepareFlights:
    """The PREPAREs of one session's requests that are under way; attempts with the same need share one.

    :ivar informed: the node that told of the last change of the schema, so that it has that change; ``None`` for any
    """

    def __cinit__(self):
        self.flights = {}

    cpdef bint is_informed(self, NodeConnections node):
        """Whether a node has every change of the schema that is known of."""
        return self.informed is None or self.informed is node

    cdef int join(self, Preparing attempt, Connection connection, PreparedQuery prepared) except -1:
        """Prepare on ``connection`` for ``attempt``, which is told the outcome."""
        key = (id(connection), prepared.prepared_id)
        cdef PrepareFlight flight = <PrepareFlight>self.flights.get(key)
        if flight is not None:
            flight.waiting.append(attempt)
            return 0
        flight = PrepareFlight(prepared, self, key)
        flight.waiting.append(attempt)
        try:
            connection.send(flight, prepared.message(connection.keyspace))
        except ConnectionLost as error:
            return attempt.on_prepare_lost(error)
        self.flights[key] = flight
        return 0
