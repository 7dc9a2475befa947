"""The PREPAREs that requests wait for: one for each query and connection, however many need it."""

cimport cython

from async_cassandra._request.prepared import other_keyspace

from async_cassandra._wire.responses cimport Response, decode_response

from async_cassandra._net.errors import ConnectionLost
from async_cassandra._wire.errors import ProtocolError


@cython.no_gc
cdef class Preparing(ResponseHandler):
    """An attempt that may have to wait until a query is prepared."""

    cdef int on_prepare_ended(self, int outcome, object reason) except -1:
        """Take what the PREPARE came to, once; nothing was executed.

        :param outcome: a :class:`PrepareOutcome`
        :param reason: what goes with it
        """
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
        del self.flights.flights[self.key]
        try:
            response = decode_response(connection.version, flags, opcode, body, size, None, None, False)
            if response.error is None and response.prepared is None:
                raise ProtocolError("a PREPARE was answered by something else")
        except ProtocolError as error:
            return self.tell(UNREADABLE, error)
        change = self.compare(connection, response)
        if change is not None:
            return self.tell(CHANGED, change)
        return self.tell(PREPARED, None) if response.error is None else self.tell(REFUSED, response)

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
        return self.tell(LOST, error)

    cdef int tell(self, int outcome, object reason) except -1:
        cdef Preparing attempt
        for attempt in self.waiting:
            attempt.on_prepare_ended(outcome, reason)
        return 0


cdef class PrepareFlights:
    """The PREPAREs of one session's requests that are under way; attempts with the same need share one.

    :ivar informed: the node that reported the last schema change, so that it has that change; ``None`` for any
    """

    def __cinit__(self):
        self.flights = {}

    cpdef bint is_informed(self, NodeConnections node):
        """Whether a node has every schema change that is known of."""
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
            return attempt.on_prepare_ended(LOST, error)
        self.flights[key] = flight
        return 0
