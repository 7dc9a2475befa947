"""One call: the outcome of its statement, its options and its execution profile."""

from cpython.object cimport PyTypeObject
from libc.math cimport INFINITY

from async_cassandra._request.prepared import other_keyspace

from async_cassandra._wire.protocol cimport Opcode
from async_cassandra._wire.requests cimport Prepare, Statement

cdef extern from "pool.h":
    """
    POOL(call_pool)
    """
    void call_pool_use(PyTypeObject* kind)

cdef dict NO_QUERIES = {}


cdef class CallOptions:
    """The options of one ``execute`` call, apart from statement and values; not changed after the first request."""

    def __cinit__(self, profile not None, *, timeout=None, tuple pinned=None):
        self.profile = profile
        self.timeout = timeout
        self.pinned = pinned
        self.wants_all = True


cdef CallOptions NO_OPTIONS = CallOptions(object())


cdef class Call:
    """What does not change from one page of a call to the next; the requests for all its pages share it.

    :class:`~async_cassandra._statements.build.RequestBuilder` fills it; it is read-only from then on.
    """

    def __cinit__(self):
        self.options = NO_OPTIONS
        self.batched = NO_QUERIES
        self.timeout = INFINITY

    cdef int name_keyspace(self, Message message, Connection connection) except -1:
        """Let the message name the keyspace for its unqualified names, if that is not the connection's.

        Names from before the session had a keyspace mean none: the server accepted them, so they are qualified.

        :raises ~async_cassandra.exceptions.ConfigurationError: if the protocol cannot express it
        """
        cdef str keyspace = None
        if self.keyspace != connection.keyspace and self.keyspace is not None:
            if connection.version < 5:
                raise other_keyspace(getattr(message, "query", "a batch"), self.keyspace, connection.keyspace)
            keyspace = self.keyspace
        if message.opcode == Opcode.PREPARE:
            (<Prepare>message).keyspace = keyspace
        else:
            (<Statement>message).keyspace = keyspace
        return 0


call_pool_use(<PyTypeObject*>Call)
