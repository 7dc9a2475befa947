"""What a server reports and why a connection fails, as classes that are both the driver's and ours.

Source: native protocol v5, section 8 (error codes). 0x1700 (CAS_WRITE_UNKNOWN) has no class in the
driver.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import cassandra
from cassandra import connection as driver_connection
from cassandra import protocol

from async_cassandra._default_connection import NoHostAvailable, UserTypeDoesNotExist
from async_cassandra._wire.protocol import ErrorCode
from async_cassandra.exceptions._base import (
    AuthenticationError,
    CasWriteUnknown,
    ConfigurationError,
    ConnectionError,
    OverloadedError,
    ProtocolError,
    QueryError,
)

__all__ = [
    "AlreadyExistsError",
    "BadCredentialsError",
    "BootstrappingError",
    "CDCWriteError",
    "CasWriteUnknownError",
    "ClientWriteError",
    "ConnectFailedError",
    "ConnectRefusedError",
    "ConnectionBrokenError",
    "ConnectionLostError",
    "CoordinatorOverloadedError",
    "CqlSyntaxError",
    "FunctionFailureError",
    "InvalidConfigurationError",
    "InvalidRequestError",
    "KeyspaceRefusedError",
    "ReadFailureError",
    "ReadTimeoutError",
    "ServerInternalError",
    "ServerProtocolError",
    "ServerReport",
    "SessionClosedError",
    "TruncateFailedError",
    "UnauthorizedError",
    "UnavailableError",
    "UnknownServerError",
    "UnpreparedError",
    "UnreadableAnswerError",
    "UnresolvedContactPointsError",
    "UserTypeMissingError",
    "WriteFailureError",
    "WriteTimeoutError",
]

Fields = Mapping[str, Any]
"""An ERROR message's fields after code and text, with the driver's names: ``consistency``,
``required_replicas``, ``alive_replicas``, ``required_responses``, ``received_responses``,
``data_retrieved``, ``write_type``, ``contentions``, ``failures``, ``error_code_map``, ``keyspace``,
``table``, ``function``, ``arg_types``, ``query_id``."""


class _Unregistered(type(protocol.ErrorMessageSub)):  # type: ignore[misc]
    """Keeps our classes out of the tables with which the driver decodes ERROR messages."""

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        type.__init__(cls, name, bases, namespace)


class ServerReport(QueryError):
    """What a server reports by an ERROR message; the root of all such errors.

    :ivar code: the protocol's error code
    :ivar server_message: the server's own words
    :ivar fields: the rest of the message
    """

    code: int
    summary: str
    advice = ""
    server_message: str = ""
    fields: Fields = MappingProxyType({})
    _cause: BaseException | None = None

    def __init_subclass__(cls) -> None:
        cls.__doc__ = cls.__doc__ or f"{cls.summary}."

    def summary_msg(self) -> str:
        return str(self)

    @property
    def cause(self) -> BaseException | None:
        """The driver's exception for the same message.

        It is not the ``__cause__``: a traceback would say everything twice.
        """
        if self._cause is None and self._is_of_a_server:
            self._cause = driver_error(self.code, self.server_message, self.fields)
        return self._cause

    @cause.setter
    def cause(self, cause: BaseException | None) -> None:
        if cause is not None:
            self._cause = cause

    @property
    def _is_of_a_server(self) -> bool:
        """Whether it was read from a message, not made by a program."""
        return "server_message" in vars(self)

    def __reduce__(self) -> tuple[Any, ...]:
        restore, (kind, args, facts) = super().__reduce__()
        cause = facts.pop("_cause", None)
        if not self._is_of_a_server:
            facts["cause"] = cause
        return restore, (kind, args, facts)


class UnavailableError(ServerReport, cassandra.Unavailable):
    code = ErrorCode.UNAVAILABLE
    summary = "Not enough live replicas"


class ReadTimeoutError(ServerReport, cassandra.ReadTimeout):
    code = ErrorCode.READ_TIMEOUT
    summary = "Replicas did not answer the read in time"


class WriteTimeoutError(ServerReport, cassandra.WriteTimeout):
    """Replicas did not acknowledge the write in time.

    :ivar contentions: for write type CAS on v5, how often other transactions interfered
    """

    code = ErrorCode.WRITE_TIMEOUT
    summary = "Replicas did not acknowledge the write in time"
    contentions: int | None = None


class ReadFailureError(ServerReport, cassandra.ReadFailure):
    code = ErrorCode.READ_FAILURE
    summary = "Replicas failed to read"


class WriteFailureError(ServerReport, cassandra.WriteFailure):
    code = ErrorCode.WRITE_FAILURE
    summary = "Replicas failed to write"


class FunctionFailureError(ServerReport, cassandra.FunctionFailure):
    code = ErrorCode.FUNCTION_FAILURE
    summary = "A user-defined function failed"


class CDCWriteError(
    ServerReport, protocol.CDCWriteException, cassandra.CDCWriteFailure, metaclass=_Unregistered
):
    code = ErrorCode.CDC_WRITE_FAILURE
    summary = "No space left for change data capture"
    advice = "Raise cdc_total_space or consume the CDC logs"


class InvalidRequestError(ServerReport, cassandra.InvalidRequest):
    code = ErrorCode.INVALID
    summary = "Invalid query"


class UnauthorizedError(ServerReport, cassandra.Unauthorized):
    code = ErrorCode.UNAUTHORIZED
    summary = "Not permitted"
    advice = "GRANT the permission, or connect as another role"


class AlreadyExistsError(ServerReport, cassandra.AlreadyExists):
    code = ErrorCode.ALREADY_EXISTS
    summary = "Already exists"


class BadCredentialsError(
    ServerReport, AuthenticationError, protocol.BadCredentials, metaclass=_Unregistered
):
    code = ErrorCode.BAD_CREDENTIALS
    summary = "Wrong credentials"
    advice = "Check the auth_provider's user name and password"


class CasWriteUnknownError(
    ServerReport, CasWriteUnknown, protocol.ErrorMessage, metaclass=_Unregistered
):
    code = ErrorCode.CAS_WRITE_UNKNOWN
    summary = "Unknown whether the lightweight transaction was applied"
    advice = "Read the row back with a serial consistency to learn which"


class ServerInternalError(ServerReport, protocol.ServerError, metaclass=_Unregistered):
    code = ErrorCode.SERVER_ERROR
    summary = "The server failed"


class ServerProtocolError(ServerReport, protocol.ProtocolException, metaclass=_Unregistered):
    code = ErrorCode.PROTOCOL_ERROR
    summary = "The server found the request malformed"


class CoordinatorOverloadedError(
    ServerReport,
    OverloadedError,
    protocol.OverloadedErrorMessage,
    metaclass=_Unregistered,
):
    code = ErrorCode.OVERLOADED
    summary = "The coordinator is overloaded"
    advice = "Send fewer requests at once, or try later"


class BootstrappingError(
    ServerReport, protocol.IsBootstrappingErrorMessage, metaclass=_Unregistered
):
    code = ErrorCode.IS_BOOTSTRAPPING
    summary = "The coordinator is still bootstrapping"


class TruncateFailedError(ServerReport, protocol.TruncateError, metaclass=_Unregistered):
    code = ErrorCode.TRUNCATE_ERROR
    summary = "TRUNCATE failed"


class CqlSyntaxError(ServerReport, protocol.SyntaxException, metaclass=_Unregistered):
    code = ErrorCode.SYNTAX_ERROR
    summary = "Syntax error in CQL"


class InvalidConfigurationError(
    ServerReport, protocol.ConfigurationException, metaclass=_Unregistered
):
    code = ErrorCode.CONFIG_ERROR
    summary = "Refused by the server's configuration"


class UnpreparedError(ServerReport, protocol.PreparedQueryNotFound, metaclass=_Unregistered):
    """The node does not know the prepared statement.

    :ivar query_id: the id that the node does not know
    """

    code = ErrorCode.UNPREPARED
    summary = "The node does not know the prepared statement"
    query_id: bytes


class ClientWriteError(ServerReport, protocol.ClientWriteError, metaclass=_Unregistered):
    code = 0x8000
    summary = "The write failed for the client"


class UnknownServerError(ServerReport, protocol.ErrorMessage, metaclass=_Unregistered):
    summary = "The server reported an error that this library does not know"


def driver_error(code: int, message: str, fields: Fields) -> Exception:
    """Return the driver's exception for an ERROR message."""
    facts = dict(fields)
    # The driver's class takes no such argument.
    facts.pop("contentions", None)
    kind = protocol.error_classes.get(code, protocol.ErrorMessage)
    info = facts.get("query_id") if code == ErrorCode.UNPREPARED else facts or None
    try:
        return kind(code=code, message=message, info=info).to_exception()
    except (KeyError, TypeError):
        # A consistency level or write type that the driver does not know.
        return protocol.ErrorMessage(code=code, message=message, info=info)


class ConnectFailedError(ConnectionError, NoHostAvailable):
    """No contact point could be reached.

    :ivar errors: the reason for each node, by ``"address:port"``
    """

    errors: dict[str, BaseException]


class ConnectRefusedError(AuthenticationError, NoHostAvailable):
    """Every contact point that answered refused the credentials.

    :ivar errors: why, by the node's ``"address:port"``
    """

    errors: dict[str, BaseException]


class KeyspaceRefusedError(ConnectionError, QueryError, cassandra.InvalidRequest):
    """The keyspace to connect to does not exist, or this role may not use it."""


class UnresolvedContactPointsError(ConnectionError, cassandra.UnresolvableContactPoints):
    """No contact point's name could be resolved."""


class ConnectionLostError(QueryError, ConnectionError, driver_connection.ConnectionShutdown):
    """The connection was lost with the request on it; a write may or may not have been applied."""


class ConnectionBrokenError(ConnectionLostError, ProtocolError, driver_connection.ProtocolError):
    """The connection was lost because its bytes violated the native protocol."""


class UnreadableAnswerError(ProtocolError, driver_connection.ProtocolError):
    """An answer arrived complete but cannot be read; the request may have been executed."""


class SessionClosedError(ConnectionError, driver_connection.ConnectionShutdown):
    """The session or cluster is closed."""


class UserTypeMissingError(ConfigurationError, UserTypeDoesNotExist):
    """A class was registered for a user-defined type that the cluster does not have."""
