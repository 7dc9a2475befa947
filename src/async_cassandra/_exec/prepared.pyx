"""A prepared query: how to bind it, the shape of its rows as last told, and preparing it again.

The shape is replaced as a whole. A request keeps the one whose metadata id it sent, because the
reply without metadata has exactly that shape, whatever other replies have brought meanwhile.
"""

from cassandra.query import FETCH_SIZE_UNSET

cimport cython

from async_cassandra._wire.binding cimport BindPlan, BoundValues
from async_cassandra._wire.requests cimport Prepare
from async_cassandra._wire.responses cimport Prepared, Response, RowPlans, decode_response
from async_cassandra._wire.rows cimport ResultMetadata, RowPlan

from async_cassandra._exec.cql import Repetition
from async_cassandra._net.errors import ConnectionLost
from async_cassandra._wire.errors import ParameterError, ProtocolError
from async_cassandra.exceptions import from_wire

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

    def __cinit__(self, str query not None, str keyspace, Prepared prepared not None, info, RowPlans plans not None):
        cdef ResultMetadata bound = prepared.bind_metadata
        self.query = query
        self.keyspace = keyspace
        self.prepared_id = prepared.prepared_id
        self.bind_columns = bound.columns
        self.partition_key = bound.partition_key_indexes
        self.bind_plan = BindPlan(bound.columns, plans.registry, bound.partition_key_indexes)
        self.shape = ResultShape(prepared.result_metadata_id, prepared.result_metadata.columns)
        self.routing_keyspace = bound.columns[0].keyspace if bound.columns else keyspace
        self.is_read = info.is_read
        self.repetition = info.repetition
        if not info.is_read:
            for column in bound.columns:
                self.repetition = min(self.repetition, BY_TYPE.get(column.type.name, READ))

    def message(self, str connection_keyspace):
        """The PREPARE to send; the keyspace is left out where the connection has it already."""
        return Prepare(self.query, None if self.keyspace == connection_keyspace else self.keyspace)

    cpdef BoundValues bind(self, values):
        """Encode values, by position or by name.

        :raises ~async_cassandra.exceptions.ParameterTypeError: if a value's type does not fit
        :raises ~async_cassandra.exceptions.ParameterValueError: if a value is out of range or there are too many
        """
        # A reference of its own: binding may run the application's code, and with it whatever gives this another plan.
        cdef BindPlan plan = self.bind_plan
        try:
            return plan.bind(values)
        except ParameterError as error:
            raise from_wire(error) from error.__cause__

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
    """An attempt that may wait until its statement is prepared; one of the three is called, once."""

    cdef int on_prepared(self, object change) except -1:
        """Go on; ``change`` says what no longer fits values bound before, ``None`` if all does."""
        raise NotImplementedError

    cdef int on_prepare_refused(self, Response response) except -1:
        """Take the server's ERROR."""
        raise NotImplementedError

    cdef int on_prepare_lost(self, object error) except -1:
        """Take note that the connection was lost; nothing was executed."""
        raise NotImplementedError


cdef class PrepareFlight(ResponseHandler):
    """One PREPARE on one connection, with every attempt that waits for it.

    :param flights: where it is found under ``key`` while it is under way
    """

    def __cinit__(self, PreparedQuery prepared not None, dict flights not None, tuple key not None):
        self.prepared = prepared
        self.flights = flights
        self.key = key
        self.waiting = []

    cdef int on_response(self, Connection connection, uint8_t flags, uint8_t opcode,
                         const unsigned char* body, Py_ssize_t size) except -1:
        cdef Response response
        cdef Preparing attempt
        del self.flights[self.key]
        try:
            response = decode_response(connection.version, flags, opcode, body, size, None, None, False)
            if response.error is None and response.prepared is None:
                raise ProtocolError("a PREPARE was answered by something else")
        except ProtocolError as error:
            self.lose(ConnectionLost(f"protocol error from {connection.endpoint}: {error}", connection.endpoint))
            raise
        if response.error is not None:
            for attempt in self.waiting:
                attempt.on_prepare_refused(response)
            return 0
        change = self.prepared.renew(response.prepared)
        for attempt in self.waiting:
            attempt.on_prepared(change)
        return 0

    cdef int on_lost(self, Connection connection, object error) except -1:
        del self.flights[self.key]
        return self.lose(error)

    cdef int lose(self, object error) except -1:
        cdef Preparing attempt
        for attempt in self.waiting:
            attempt.on_prepare_lost(error)
        return 0


cdef class PrepareFlights:
    """The PREPAREs of one session's requests that are under way; attempts with the same need share one."""

    def __cinit__(self):
        self.flights = {}

    cdef int join(self, Preparing attempt, Connection connection, PreparedQuery prepared) except -1:
        """Prepare on ``connection`` for ``attempt``, which is told the outcome."""
        key = (id(connection), prepared.prepared_id)
        cdef PrepareFlight flight = <PrepareFlight>self.flights.get(key)
        if flight is not None:
            flight.waiting.append(attempt)
            return 0
        flight = PrepareFlight(prepared, self.flights, key)
        flight.waiting.append(attempt)
        try:
            connection.send(flight, prepared.message(connection.keyspace))
        except ConnectionLost as error:
            return attempt.on_prepare_lost(error)
        self.flights[key] = flight
        return 0
