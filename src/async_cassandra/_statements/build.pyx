"""Builds requests that can start from what a user passes: message, options, routing.

An option comes from the call, or else the statement, or else the execution profile.
"""

import asyncio
import time

from cassandra.policies import NoSpeculativeExecutionPolicy
from cassandra.query import FETCH_SIZE_UNSET, SimpleStatement, named_tuple_factory
from cassandra.timestamps import MonotonicTimestampGenerator

from async_cassandra._driver.request_settings import (
    checked_fetch_size,
    checked_level,
    checked_payload,
    checked_routing_key,
    checked_serial_level,
    checked_timeout,
)
from async_cassandra._cql.analysis import Repetition
from async_cassandra._request.prepared import other_keyspace
from async_cassandra._statements.statements import PreparedStatement
from async_cassandra._wire.binding import token_of
from async_cassandra.exceptions import ConfigurationError

from cpython.object cimport PyObject
from libc.stdint cimport INT32_MAX, INT64_MIN, uint16_t

from async_cassandra._driver.lookups cimport ProfileSettings, settings_of
from async_cassandra._request.call cimport Call
from async_cassandra._request.request cimport new_request
from async_cassandra._statements.options cimport PreparedOptions, options_of
from async_cassandra._wire.binding cimport BoundValues
from async_cassandra._wire.requests cimport Batch, Execute, Prepare
from async_cassandra._wire.responses cimport new_keyspace

cdef extern from "Python.h":
    ctypedef struct PyLongObject:
        pass
    bint PyUnstable_Long_IsCompact(PyLongObject* number)
    Py_ssize_t PyUnstable_Long_CompactValue(PyLongObject* number)

# The highest of the protocol's consistency levels, LOCAL_ONE.
DEF LAST_LEVEL = 10

cdef object get_running_loop = asyncio.get_running_loop
cdef object NAMED_TUPLES = named_tuple_factory
cdef object PREPARED_STATEMENT = PreparedStatement
cdef object NO_SPECULATION = NoSpeculativeExecutionPolicy
cdef object UNSET_FETCH_SIZE = FETCH_SIZE_UNSET
cdef object current_time = time.time
cdef int NEVER = Repetition.NEVER
cdef int HARMLESS = Repetition.HARMLESS
cdef int READ = Repetition.READ


cdef inline Py_ssize_t small(value) noexcept:
    """Return an int that is not large as it is, and -1 for anything else."""
    if type(value) is int and PyUnstable_Long_IsCompact(<PyLongObject*><PyObject*>value):
        return PyUnstable_Long_CompactValue(<PyLongObject*><PyObject*>value)
    return -1


cdef inline uint16_t level_of(level) except? 0:
    cdef Py_ssize_t number = small(level)
    return <uint16_t>number if 0 <= number <= LAST_LEVEL else checked_level(level)


cdef dict plain_payload(payload):
    """Copy with exact classes only: no other code may run while a request is being written."""
    cdef dict plain = {}
    try:
        for key, value in payload.items():
            key = key.decode() if isinstance(key, bytes) else "".join((key,))
            plain[key] = None if value is None else b"".join((value,))
        return plain
    except (TypeError, AttributeError, ValueError):
        pass
    # Without the error, which may show what is in it.
    raise ConfigurationError("custom_payload takes a mapping of str to bytes")


cdef inline double seconds(CallOptions options, ProfileSettings settings) except? -1:
    """Return the timeout of a call, or else of its profile."""
    timeout = options.timeout
    if timeout is None:
        timeout = settings.request_timeout
    if type(timeout) is float and <double>timeout > 0:
        return <double>timeout
    return checked_timeout(timeout, "request_timeout")


def seconds_of(CallOptions options not None):
    """Return the timeout of a call, ``math.inf`` for none."""
    return seconds(options, settings_of(options.profile))


cdef class RequestBuilder:
    """Builds the requests of one session.

    :param version: protocol version
    :param timestamps: the cluster's timestamp generator, ``None`` for the servers' clocks
    :param infers_idempotence: whether a write's CQL may show that it is idempotent
    """

    def __cinit__(self, Executor executor not None, uint8_t version, *, int default_fetch_size=5000, timestamps=None,
                  bint infers_idempotence=False):
        self.executor = executor
        self.version = version
        self.default_fetch_size = default_fetch_size
        # The driver's default takes a lock for threads that do not exist here.
        self.timestamps = timestamps
        self.infers_idempotence = infers_idempotence

    cdef int64_t next_timestamp(self) except? -1:
        """Return microseconds since 1970, each call more than the one before."""
        cdef int64_t now
        if self.timestamps is None:
            return INT64_MIN
        if type(self.timestamps) is not MonotonicTimestampGenerator:
            now = self.timestamps()
            return now
        now = <int64_t>(<double>current_time() * 1e6)
        if now <= self.last_timestamp:
            now = self.last_timestamp + 1
        self.last_timestamp = now
        return now

    # One method per kind of statement

    def prepared(self, query, parameters, CallOptions options not None):
        """Build the request of a :class:`PreparedStatement` with its parameters.

        ``None`` if ``query`` is something else or of another session, or must be compared with the server's first.

        :raises ~async_cassandra.exceptions.ConnectionError: after close or fork, or on another loop
        :raises ~async_cassandra.exceptions.ParameterTypeError: if a value's type does not fit
        :raises ~async_cassandra.exceptions.ParameterValueError: if a value is out of range or there are too many
        """
        cdef PreparedQuery prepared
        if self.executor.closed or get_running_loop() is not self.executor.loop:
            self.executor.refuse()
        if type(query) is not PREPARED_STATEMENT:
            return None
        prepared = (<PreparedOptions>query).prepared
        if prepared is None:
            raise ConfigurationError("the statement has not been prepared: use what prepare() returns")
        if not prepared.is_trusted or prepared.plans is not self.executor.plans:
            return None
        return self.execute(query, prepared, prepared.bind(parameters), options)

    cpdef Request execute(self, statement, PreparedQuery prepared, BoundValues bound, CallOptions options):
        """Build a request that executes a prepared statement with ``bound`` values."""
        cdef StatementOptions own = options_of(statement)
        cdef ProfileSettings settings = settings_of(options.profile)
        cdef Execute message = Execute.__new__(Execute)
        message.prepared_id = prepared.prepared_id
        message.values = bound.payload
        self.set_level(message, own, settings, prepared.is_read)
        self.set_paging(message, own, options)
        cdef Call call = Call.__new__(Call)
        call.options = options
        call.statement = statement
        call.prepared = prepared
        call.routing_keyspace = prepared.routing_keyspace
        if bound.has_token:
            call.token = bound.token_value
            call.has_token = True
        call.idempotent = self.may_repeat(prepared.repetition, own, settings)
        return self.request(message, call, own, settings)

    def query(self, statement, str query not None, info not None, str keyspace, CallOptions options not None):
        """Build a request that runs a string as it is.

        :param info: the tokenizer's analysis of ``query``
        :param keyspace: the keyspace for its unqualified names; ``None`` for none
        :raises ~async_cassandra.exceptions.ConfigurationError: if the protocol cannot express that
        """
        cdef StatementOptions own = options_of(statement)
        cdef ProfileSettings settings = settings_of(options.profile)
        cdef Query message = Query(query)
        self.set_level(message, own, settings, info.is_read)
        self.set_paging(message, own, options)
        cdef Call call = self.new_call(statement, options, keyspace, query)
        self.set_routing(call, statement, keyspace)
        call.idempotent = self.may_repeat(info.repetition, own, settings)
        return self.request(message, call, own, settings)

    def batch(self, statement, list entries not None, dict queries not None, int repetition, str keyspace,
              bint has_strings, CallOptions options not None, *, str routing_keyspace=None):
        """Build a request that runs a batch.

        :param entries: ``(query or prepared id, encoded values)``
        :param keyspace: the keyspace for unqualified names in its strings
        :param queries: prepared id to its prepared query, for a node that has forgotten it
        :param repetition: the lowest :class:`.writes.Repetition` of its statements
        :param has_strings: whether it has strings
        :param routing_keyspace: that of the statement whose routing key the batch has, if it is known
        """
        cdef StatementOptions own = options_of(statement)
        cdef ProfileSettings settings = settings_of(options.profile)
        cdef Batch message = Batch.__new__(Batch)
        message.batch_type = statement.batch_type.value
        message.entries = entries
        self.set_level(message, own, settings, False)
        cdef Call call
        if has_strings:
            call = self.new_call(statement, options, keyspace, "a batch")
        else:
            call = Call.__new__(Call)
            call.options = options
            call.statement = statement
        call.batched = queries
        self.set_routing(call, statement, keyspace)
        if routing_keyspace is not None:
            call.routing_keyspace = routing_keyspace
        call.idempotent = self.may_repeat(repetition, own, settings)
        return self.request(message, call, own, settings)

    def prepare(self, str query not None, str keyspace, CallOptions options not None):
        """Build a request that prepares ``query``; sending it twice is harmless.

        :param keyspace: the keyspace for its unqualified names; ``None`` for none
        :raises ~async_cassandra.exceptions.ConfigurationError: if the protocol cannot express that
        """
        cdef Prepare message = Prepare.__new__(Prepare, query + self.executor.statement_mark)
        statement = SimpleStatement(query)
        cdef Call call = self.new_call(statement, options, keyspace, message.query)
        call.routing_keyspace = keyspace
        call.idempotent = True
        return self.request(message, call, options_of(statement), settings_of(options.profile))

    def answered(self, statement, str keyspace not None, CallOptions options not None):
        """Build a request that need not be sent: it asked for ``keyspace``, which the session has by now."""
        cdef Call call = Call.__new__(Call)
        call.options = options
        call.statement = statement
        cdef Request request = self.request(Query(statement.query_string), call, options_of(statement),
                                            settings_of(options.profile))
        request.end_with(new_keyspace(keyspace))
        return request

    # What they share

    cdef bint may_repeat(self, int repetition, StatementOptions own, ProfileSettings settings) except -1:
        """Whether a request may be sent again after it may have reached a replica; nothing else decides that.

        In turn: what the CQL rules out or guarantees, the statement's mark, the profile's default, what the CQL shows.
        """
        if repetition == NEVER or repetition == READ:
            return repetition == READ
        if own.is_idempotent is not None:
            return own.is_idempotent
        if settings.is_idempotent is not None and not (settings.is_idempotent and own.takes_no_default):
            return settings.is_idempotent
        return self.infers_idempotence and repetition == HARMLESS

    cdef int set_level(self, Statement message, StatementOptions own, ProfileSettings settings, bint is_read) except -1:
        level = own.consistency_level
        serial = own.serial_consistency_level
        if level is None:
            level = settings.consistency_level
        if serial is None:
            serial = settings.serial_consistency_level
        message.consistency = level_of(level)
        if serial is not None:
            message.serial_consistency = checked_serial_level(serial)
        if not is_read:
            message.timestamp = self.next_timestamp()
        return 0

    cdef int set_paging(self, Query message, StatementOptions own, CallOptions options) except -1:
        cdef Py_ssize_t rows
        message.paging_state = options.paging_state
        fetch_size = options.fetch_size
        if fetch_size is None:
            fetch_size = own.fetch_size
            if fetch_size is UNSET_FETCH_SIZE:
                message.page_size = self.default_fetch_size
                return 0
        rows = small(fetch_size)
        message.page_size = rows if 0 <= rows <= INT32_MAX else checked_fetch_size(fetch_size)
        return 0

    cdef Call new_call(self, statement, CallOptions options, str keyspace, str text):
        """Build a call whose message has unqualified names, which mean ``keyspace``."""
        if keyspace not in (None, self.executor.keyspace) and not self.executor.can_name_keyspaces:
            raise other_keyspace(text, keyspace, self.executor.keyspace)
        cdef Call call = Call.__new__(Call)
        call.options = options
        call.statement = statement
        call.keyspace = keyspace
        call.names_keyspace = True
        return call

    cdef int set_routing(self, Call call, statement, str keyspace) except -1:
        """Use the routing key that the user gave with the statement."""
        call.routing_keyspace = statement.keyspace or keyspace
        key = statement.routing_key
        if key:
            call.token = token_of(checked_routing_key(key))
            call.has_token = True
        return 0

    cdef Request request(self, Message message, Call call, StatementOptions own,
                         ProfileSettings settings):
        """Build the request for a call's first page: deadline, policies, envelope options, rows."""
        cdef CallOptions options = call.options
        call.load_balancing_policy = settings.load_balancing_policy
        call.row_factory = options.row_factory if options.row_factory is not None else settings.row_factory
        call.as_tuples = call.row_factory is not NAMED_TUPLES
        call.timeout = seconds(options, settings)
        call.retry_policy = own.retry_policy if own.retry_policy is not None else settings.retry_policy
        if options.trace:
            message.tracing = True
        payload = own.custom_payload
        if payload is not None:
            payload = checked_payload(payload)
        if options.custom_payload is not None:
            payload = {**payload, **options.custom_payload} if payload else options.custom_payload
        if payload:
            message.custom_payload = plain_payload(payload)
        if call.idempotent and type(settings.speculative_execution_policy) is not NO_SPECULATION:
            call.speculative_policy = settings.speculative_execution_policy
        return new_request(self.executor, message, call)
