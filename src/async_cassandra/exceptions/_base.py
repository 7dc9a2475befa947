"""The root of the tree, and its errors that no server reports."""

import builtins
import pickle
import re
from collections.abc import Mapping
from typing import Any

import cassandra

from async_cassandra._wire import errors as _wire
from async_cassandra._wire.protocol import ErrorCode

__all__ = [
    "AsyncCassandraError",
    "AuthenticationError",
    "CasWriteUnknown",
    "ColumnDecodeError",
    "ConfigurationError",
    "ConnectTimeoutError",
    "ConnectionError",
    "OverloadedError",
    "ParameterRangeError",
    "ParameterTypeError",
    "ParameterValueError",
    "ProtocolError",
    "QueryError",
    "QueryTimeoutError",
    "RowTypeError",
    "StatementChangedError",
    "TimeoutError",
]


class AsyncCassandraError(Exception):
    """The base class of the errors that this library raises.

    :ivar cause: the underlying error, also as ``__cause__``; for an error that a server reports, the
        driver's exception for it, which is not the ``__cause__``
    :ivar endpoint: the node it happened on, as ``"address:port"``; ``None`` if it was not a single node
    :ivar attempts: how often the request was sent, 0 if never
    :ivar consistency: the request's ``cassandra.ConsistencyLevel``, ``None`` if there is no request
    """

    cause: BaseException | None
    endpoint: str | None
    attempts: int
    consistency: int | None

    def __init__(
        self,
        message: str = "",
        cause: BaseException | None = None,
        *,
        endpoint: str | None = None,
        attempts: int = 0,
        consistency: int | None = None,
    ) -> None:
        # Not super(): the driver's and the builtin classes on the way would each add their own
        # arguments.
        BaseException.__init__(self, message)
        self.__cause__ = cause
        self.cause = cause
        self.endpoint = endpoint
        self.attempts = attempts
        self.consistency = consistency

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, _picklable(vars(self)))


def shown(value: object) -> str:
    """Return a refused value for an error message: a number as it is, or the type of anything else.

    A value passed in the wrong place may hold a secret: a dict of options, a URL, a password.
    """
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    return f"a {type(value).__name__}"


SURROGATES: re.Pattern[str] = re.compile(r"[\ud800-\udfff]")
"""Matches characters left over from decoding with the wrong encoding, which cannot be sent."""


def _restore(
    kind: type[AsyncCassandraError], args: tuple[Any, ...], facts: Mapping[str, Any]
) -> AsyncCassandraError:
    error = kind.__new__(kind)
    BaseException.__init__(error, *args)
    for name, value in facts.items():
        setattr(error, name, value)
    error.__cause__ = facts.get("cause")
    return error


def _picklable(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _picklable_value(value) for name, value in facts.items()}


def _picklable_value(value: Any) -> Any:
    if isinstance(value, BaseException) and not _survives_pickling(value):
        return AsyncCassandraError(f"{type(value).__name__}: {value}")
    if isinstance(value, dict):
        return {key: _picklable_value(item) for key, item in value.items()}
    return value


def _survives_pickling(value: BaseException) -> bool:
    if isinstance(value, AsyncCassandraError):
        return True
    try:
        pickle.loads(pickle.dumps(value))
    # A foreign exception's own pickling code may raise anything.
    except Exception:  # noqa: BLE001
        return False
    return True


class ConnectionError(AsyncCassandraError, builtins.ConnectionError):
    """There is no usable connection: the cluster cannot be reached, or the session or cluster is closed."""


class QueryError(AsyncCassandraError, cassandra.DriverException):
    """A request failed: it could not be sent, was refused, or its result could not be read."""


class TimeoutError(AsyncCassandraError, builtins.TimeoutError, cassandra.OperationTimedOut):
    """The client's own deadline passed.

    The attributes say where the request's time went, in seconds. The rest of its timeout was spent
    in pauses between its attempts.

    :ivar errors: what each node that was tried had answered, by ``"address:port"``
    :ivar last_host: the node tried last, as ``"address:port"``
    :ivar prepare_seconds: preparing its string
    :ivar queued_seconds: waiting for a free place on a connection
    :ivar wire_seconds: waiting for an answer to at least one attempt
    :ivar node_seconds: the same for each node, by ``"address:port"``; simultaneous attempts on several
        nodes count for each
    """

    errors: dict[str, BaseException]
    last_host: str | None
    prepare_seconds: float
    queued_seconds: float
    wire_seconds: float
    node_seconds: dict[str, float]

    def __init__(
        self,
        message: str = "",
        cause: BaseException | None = None,
        *,
        endpoint: str | None = None,
        attempts: int = 0,
        consistency: int | None = None,
        errors: Mapping[str, BaseException] | None = None,
        prepare_seconds: float = 0.0,
        queued_seconds: float = 0.0,
        wire_seconds: float = 0.0,
        node_seconds: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(
            message, cause, endpoint=endpoint, attempts=attempts, consistency=consistency
        )
        self.errors = dict(errors or {})
        self.last_host = endpoint
        self.prepare_seconds = prepare_seconds
        self.queued_seconds = queued_seconds
        self.wire_seconds = wire_seconds
        self.node_seconds = dict(node_seconds or {})


class ConnectTimeoutError(TimeoutError, ConnectionError):
    """The cluster did not answer within the connect timeout."""


class QueryTimeoutError(TimeoutError, QueryError):
    """The request's deadline passed; a write may or may not have been applied."""


class AuthenticationError(ConnectionError, cassandra.AuthenticationFailed):
    """The server refused the credentials, or requires some and none were given."""


class ConfigurationError(AsyncCassandraError, ValueError, TypeError):
    """An argument of the cluster, a profile or a policy is not valid; nothing was opened."""


class OverloadedError(QueryError):
    """There were too many requests at once, here or on the coordinator; this one was not executed."""


class ProtocolError(QueryError, ConnectionError, _wire.ProtocolError):
    """The server's bytes violate the native protocol.

    In an answer: that request fails, and its connection goes on. In a value: its row cannot be
    read. In a stream's page: neither can the rows that follow it there.
    """


class StatementChangedError(QueryError):
    """The schema changed a prepared statement's parameters; nothing was executed."""


class CasWriteUnknown(QueryError):
    """A lightweight transaction ended without the coordinator knowing whether it was applied.

    It is never retried: read the row back with a serial consistency to find out.

    :ivar received_responses: replicas that accepted
    :ivar required_responses: replicas that had to accept
    """

    code: int = ErrorCode.CAS_WRITE_UNKNOWN.value
    received_responses: int | None = None
    required_responses: int | None = None


class ParameterTypeError(QueryError, _wire.ParameterTypeError):
    """A parameter's Python type does not fit its CQL type; nothing was sent.

    :ivar parameter: its column's name, or its position if it has none
    :ivar index: its position, from 0
    """


class ParameterValueError(QueryError, _wire.ParameterValueError):
    """A parameter is out of range or malformed, or their number is wrong; nothing was sent.

    :ivar parameter: its column's name, or its position if it has none
    :ivar index: its position, from 0; ``-1`` if the number of parameters is wrong
    """


class ParameterRangeError(ParameterValueError, _wire.ParameterRangeError):
    """A parameter's value is out of range or malformed for its CQL type; nothing was sent."""


class ColumnDecodeError(QueryError, _wire.ColumnDecodeError):
    """A column has a valid CQL value that Python cannot hold; the other rows can still be read.

    :ivar column: the column's name
    :ivar row: the row's position in its page, from 0
    :ivar value: the undecoded bytes; empty for a column that the client decrypts
    """


class RowTypeError(QueryError, TypeError):
    """A result's columns are not the fields of the type given as ``row=``.

    :ivar column: the column that has no field, or whose values the field cannot hold; else ``None``
    :ivar field: the field that has no column, or cannot hold the column's values; else ``None``
    """

    column: str | None = None
    field: str | None = None


def from_wire(
    error: Exception, *, endpoint: str | None = None, consistency: int | None = None
) -> AsyncCassandraError:
    """Turn an error of the wire layer into its public class; public errors are returned as they are."""
    if isinstance(error, AsyncCassandraError):
        return error
    public = _public(error, endpoint)
    public.endpoint = endpoint
    public.consistency = consistency
    return public


def _public(error: Exception, endpoint: str | None) -> AsyncCassandraError:
    match error:
        case _wire.ParameterError():
            kind: type[ParameterTypeError | ParameterValueError] = ParameterValueError
            if isinstance(error, _wire.ParameterTypeError):
                kind = ParameterTypeError
            elif isinstance(error, _wire.ParameterRangeError):
                kind = ParameterRangeError
            parameter = kind(str(error), error.__cause__)
            parameter.parameter, parameter.index = error.parameter, error.index
            return parameter
        case _wire.ColumnDecodeError():
            column = ColumnDecodeError(str(error), error.__cause__)
            column.column, column.row, column.value = error.column, error.row, error.value
            return column
        case _wire.ProtocolError():
            where = f" by {endpoint}" if endpoint else ""
            return ProtocolError(f"The native protocol was violated{where}: {error}", error)
    return QueryError(str(error), error)
