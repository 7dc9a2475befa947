"""The exception tree; ``<-`` names classes outside it that catch the same error.

::

    AsyncCassandraError
    ├── ConnectionError              <- builtins.ConnectionError
    │   ├── AuthenticationError      <- cassandra.AuthenticationFailed
    │   │   └── ConnectRefusedError  <- cassandra.cluster.NoHostAvailable
    │   ├── ConnectTimeoutError      (also TimeoutError)
    │   ├── ConnectFailedError       <- cassandra.cluster.NoHostAvailable
    │   ├── UnresolvedContactPointsError <- cassandra.UnresolvableContactPoints
    │   ├── KeyspaceRefusedError     (also QueryError) <- cassandra.InvalidRequest
    │   ├── SessionClosedError       <- cassandra.connection.ConnectionShutdown
    │   ├── ConnectionLostError      (also QueryError) <- the same
    │   │   └── ConnectionBrokenError
    │   └── ProtocolError            (also QueryError)
    │       ├── ConnectionBrokenError <- cassandra.connection.ProtocolError
    │       └── UnreadableAnswerError <- the same
    ├── TimeoutError                 <- builtins.TimeoutError, cassandra.OperationTimedOut
    │   ├── ConnectTimeoutError
    │   └── QueryTimeoutError        (also QueryError)
    ├── ConfigurationError           <- ValueError, TypeError
    │   └── UserTypeMissingError     <- cassandra.cluster.UserTypeDoesNotExist
    └── QueryError                   <- cassandra.DriverException
        ├── QueryTimeoutError
        ├── ProtocolError
        ├── OverloadedError
        ├── CasWriteUnknown
        ├── StatementChangedError
        ├── ParameterTypeError       <- TypeError
        ├── ParameterValueError      <- ValueError
        │   └── ParameterRangeError  <- TypeError
        ├── ColumnDecodeError        <- ValueError
        ├── RowTypeError             <- TypeError
        └── ServerReport             and one class below it for each of the protocol's error codes

What a server reports is a ``ServerReport`` and at once the driver's class for it, with the driver's
attributes: ``except InvalidRequestError``, ``except cassandra.InvalidRequest`` and ``except
QueryError`` all catch it. Its ``cause`` is the driver's exception. While connecting, it is a
``ConnectionError`` and at once the driver's ``NoHostAvailable``.

All of them can be pickled. A cause that cannot is replaced by an ``AsyncCassandraError`` with the same
text.
"""

from async_cassandra.exceptions import _base, _server
from async_cassandra.exceptions._base import *  # noqa: F403
from async_cassandra.exceptions._base import SURROGATES as SURROGATES
from async_cassandra.exceptions._base import from_wire as from_wire
from async_cassandra.exceptions._base import shown as shown
from async_cassandra.exceptions._server import *  # noqa: F403

__all__: list[str] = []
__all__ += _base.__all__
__all__ += _server.__all__

# A traceback, a repr and a pickle name the place that a program imports them from.
for _name in __all__:
    globals()[_name].__module__ = __name__
