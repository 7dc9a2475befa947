"""What a server reports, as an exception that is both the driver's class and ours.

Source: native protocol v5, section 8 (error codes). 0x1700 (CAS_WRITE_UNKNOWN) has no class in the
driver.
"""

import ssl
from collections.abc import Iterable, Mapping
from typing import Any

import cassandra
from cassandra import connection as driver_connection
from cassandra import protocol
from cassandra.cluster import NoHostAvailable, UserTypeDoesNotExist

from async_cassandra import exceptions
from async_cassandra._driver.authentication import ProviderFailed
from async_cassandra._driver.server_names import WrongServerName
from async_cassandra._wire import errors as _wire
from async_cassandra._wire.protocol import ErrorCode

Fields = Mapping[str, Any]
"""An ERROR message's fields after code and text, named as in the driver: ``consistency``,
``required_replicas``, ``alive_replicas``, ``required_responses``, ``received_responses``,
``data_retrieved``, ``write_type``, ``contentions``, ``failures``, ``error_code_map``, ``keyspace``,
``table``, ``function``, ``arg_types``, ``query_id``."""


class _Unregistered(type(protocol.ErrorMessageSub)):  # type: ignore[misc]
    """Keeps our classes out of the tables by which the driver decodes ERROR messages."""

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> None:
        type.__init__(cls, name, bases, namespace)


class ServerReport(exceptions.QueryError):
    """An ERROR message.

    :ivar code: the protocol's error code
    :ivar server_message: the server's own words
    :ivar fields: what else the message holds
    """

    code: int
    summary: str
    advice = ""
    server_message: str
    fields: Fields
    _cause: BaseException | None = None

    def summary_msg(self) -> str:
        return str(self)

    @property
    def cause(self) -> BaseException | None:
        """The exception of the driver for the same message.

        It is no ``__cause__``: a traceback would say everything twice.
        """
        if self._cause is None:
            self._cause = driver_error(self.code, self.server_message, self.fields)
        return self._cause

    @cause.setter
    def cause(self, cause: BaseException | None) -> None:
        if cause is not None:
            self._cause = cause

    def __reduce__(self) -> tuple[Any, ...]:
        restore, (kind, args, facts) = super().__reduce__()
        facts.pop("_cause", None)
        return restore, (kind, args, facts)


class UserTypeMissingError(exceptions.ConfigurationError, UserTypeDoesNotExist):
    """A class was registered for a user-defined type that the cluster does not have."""


class UnavailableError(ServerReport, cassandra.Unavailable):
    code = ErrorCode.UNAVAILABLE
    summary = "Not enough live replicas"


class ReadTimeoutError(ServerReport, cassandra.ReadTimeout):
    code = ErrorCode.READ_TIMEOUT
    summary = "Replicas did not answer the read in time"


class WriteTimeoutError(ServerReport, cassandra.WriteTimeout):
    """:ivar contentions: for write type CAS on v5, how often other transactions got in between"""

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
    ServerReport, exceptions.AuthenticationError, protocol.BadCredentials, metaclass=_Unregistered
):
    code = ErrorCode.BAD_CREDENTIALS
    summary = "Wrong credentials"
    advice = "Check the auth_provider's user name and password"


class CasWriteUnknownError(
    ServerReport, exceptions.CasWriteUnknown, protocol.ErrorMessage, metaclass=_Unregistered
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
    exceptions.OverloadedError,
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
    """:ivar query_id: the id the node does not know"""

    code = ErrorCode.UNPREPARED
    summary = "The node does not know the prepared statement"
    query_id: bytes


class ClientWriteError(ServerReport, protocol.ClientWriteError, metaclass=_Unregistered):
    code = 0x8000
    summary = "The write failed for the client"


class UnknownServerError(ServerReport, protocol.ErrorMessage, metaclass=_Unregistered):
    summary = "The server reported an error this library does not know"


_BY_CODE: dict[int, type[ServerReport]] = {
    kind.code: kind for kind in ServerReport.__subclasses__() if "code" in vars(kind)
}

# Outside the driver's classes a CAS failure's consistency is the one of its paxos phase.
_ALREADY_PUBLIC = frozenset({"consistency"})


def server_error(
    code: int,
    message: str,
    fields: Fields | None = None,
    *,
    endpoint: str | None = None,
    attempts: int = 1,
    consistency: int | None = None,
) -> ServerReport:
    """Build the exception for an ERROR message.

    ``write_type`` may be the protocol's word or the driver's number; the exception carries the
    driver's number, or the word where the driver has none.

    :param code: the protocol's error code; an unknown one gives ``UnknownServerError``
    :param message: the server's own words
    :param endpoint: the coordinator, as ``"address:port"``
    :param consistency: the request's own, taken where the fields have none
    """
    facts = dict(fields or {})
    write_type = facts.get("write_type")
    if isinstance(write_type, str):
        facts["write_type"] = cassandra.WriteType.name_to_value.get(write_type, write_type)
    kind = _BY_CODE.get(code, UnknownServerError)
    error = kind(
        _text(kind, code, message, facts, endpoint=endpoint),
        endpoint=endpoint,
        attempts=attempts,
        consistency=facts.get("consistency", consistency),
    )
    error.code = code
    error.server_message = message
    error.fields = dict(facts)
    _give_facts(error, message, facts)
    return error


def driver_error(code: int, message: str, fields: Fields) -> Exception:
    """The driver's exception for an ERROR message."""
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


def _give_facts(error: ServerReport, message: str, facts: dict[str, Any]) -> None:
    if isinstance(error, protocol.ErrorMessage):
        error.message = message
        error.info = facts.get("query_id") if isinstance(error, UnpreparedError) else facts or None
    if isinstance(error, cassandra.CoordinationFailure) and "failures" not in facts:
        facts["failures"] = len(facts.get("error_code_map") or ())
    if isinstance(error, cassandra.AlreadyExists) and not facts.get("table"):
        facts["table"] = None
    for name, value in facts.items():
        if name not in _ALREADY_PUBLIC:
            setattr(error, name, value)


def _text(
    kind: type[ServerReport], code: int, message: str, facts: Fields, *, endpoint: str | None
) -> str:
    where = f", says {endpoint}" if endpoint else ""
    details = _details(facts)
    text = f"{kind.summary}{where}: {message or 'no further words'} [code 0x{code:04X}{details}]"
    return f"{text}. {kind.advice}" if kind.advice else text


def _details(facts: Fields) -> str:
    parts = []
    for name, value in facts.items():
        if value is None or name == "query_id":
            continue
        if name == "consistency":
            value = cassandra.ConsistencyLevel.value_to_name.get(value, value)
        elif name == "write_type":
            value = cassandra.WriteType.value_to_name.get(value, value)
        elif name == "error_code_map":
            value = {str(address): f"0x{failure:04X}" for address, failure in value.items()}
        parts.append(f", {name}={value}")
    return "".join(parts)


class ConnectFailedError(exceptions.ConnectionError, NoHostAvailable):
    """No contact point could be reached.

    :ivar errors: why, by the node's ``"address:port"``
    """

    errors: dict[str, BaseException]


class ConnectRefusedError(exceptions.AuthenticationError, NoHostAvailable):
    """Every contact point that answered refused the credentials.

    :ivar errors: why, by the node's ``"address:port"``
    """

    errors: dict[str, BaseException]


class KeyspaceRefusedError(
    exceptions.ConnectionError, exceptions.QueryError, cassandra.InvalidRequest
):
    """The keyspace to connect to does not exist, or may not be used."""


class UnresolvedContactPointsError(exceptions.ConnectionError, cassandra.UnresolvableContactPoints):
    """No contact point's name could be resolved."""


class ConnectionLostError(
    exceptions.QueryError, exceptions.ConnectionError, driver_connection.ConnectionShutdown
):
    """The connection was lost under the request; a write may or may not have been applied."""


class ConnectionBrokenError(
    ConnectionLostError, exceptions.ProtocolError, driver_connection.ProtocolError
):
    """The same, because its bytes were not the native protocol's."""


class UnreadableAnswerError(exceptions.ProtocolError, driver_connection.ProtocolError):
    """An answer came whole and cannot be read; what was asked may have been executed."""


class SessionClosedError(exceptions.ConnectionError, driver_connection.ConnectionShutdown):
    """The session or cluster is closed."""


def connection_lost(
    endpoint: str,
    cause: BaseException | None = None,
    *,
    attempts: int = 1,
    is_idempotent: bool = False,
) -> ConnectionLostError:
    """Build the error of a request whose connection was lost after it had been sent.

    :param is_idempotent: whether the request may be sent again, so that it may have been
    """
    broken = cause is not None and isinstance(cause.__cause__, _wire.ProtocolError)
    kind = ConnectionBrokenError if broken else ConnectionLostError
    why = f" ({_reason(cause)})" if cause is not None else ""
    advice = "It may or may not have been executed; mark it is_idempotent=True to have it repeated"
    if is_idempotent:
        advice = f"It was sent {attempts} time{'s' * (attempts != 1)}"
    return kind(
        f"The connection to {endpoint} was lost{why} before the answer came. {advice}",
        cause,
        endpoint=endpoint,
        attempts=attempts,
    )


def unreadable_answer(
    endpoint: str,
    cause: Exception,
    *,
    attempts: int,
    consistency: int | None,
    may_have_written: bool,
) -> UnreadableAnswerError:
    """Build the error of a request whose answer came whole and cannot be read."""
    text = f"The answer of {endpoint} breaks the native protocol and cannot be read: {cause}."
    if may_have_written:
        text += " What was asked may have been executed."
    return UnreadableAnswerError(
        text, cause, endpoint=endpoint, attempts=attempts, consistency=consistency
    )


def connect_error(
    error: BaseException, contact_points: Iterable[object], port: int, *, has_credentials: bool
) -> exceptions.AsyncCassandraError:
    """Turn what the driver raises while connecting into one error that names node and reason.

    :param has_credentials: whether the cluster has an ``auth_provider``
    """
    points = ", ".join(str(point) for point in contact_points)
    if isinstance(error, exceptions.AsyncCassandraError):
        return error
    if isinstance(error, NoHostAvailable):
        return _no_contact_point(error, points, port, has_credentials)
    if isinstance(error, cassandra.UnresolvableContactPoints):
        return UnresolvedContactPointsError(
            f"None of the contact points has an address: {points}. Check the names and the DNS; "
            "the port is an argument of its own, not a part of a name",
            error,
        )
    if isinstance(error, (TypeError, ValueError)):
        return exceptions.ConfigurationError(f"The cluster cannot be set up: {error}", error)
    return exceptions.ConnectionError(
        f"Could not connect to {points} (port {port}): {_reason(error)}", error
    )


def _no_contact_point(
    error: NoHostAvailable, points: str, port: int, has_credentials: bool
) -> ConnectFailedError | ConnectRefusedError:
    errors = {str(node): _underlying(cause) for node, cause in (error.errors or {}).items()}
    refusals = {n: e for n, e in errors.items() if isinstance(e, cassandra.AuthenticationFailed)}
    public: ConnectFailedError | ConnectRefusedError
    if refusals:
        node, refusal = next(iter(refusals.items()))
        public = ConnectRefusedError(
            _refusal(node, refusal, has_credentials), refusal, endpoint=node
        )
    elif errors:
        node, cause = next(iter(errors.items()))
        reasons = "; ".join(f"{n}: {_reason(e)}" for n, e in errors.items())
        advice = _connect_advice(errors.values())
        public = ConnectFailedError(
            f"Could not connect to {reasons}. {advice}".rstrip(), cause, endpoint=node
        )
    else:
        public = ConnectFailedError(
            f"Could not connect to {points} (port {port}): the load balancing policy offered no "
            "host. Check its local_dc and allowed hosts",
            error,
        )
    public.errors = errors
    return public


def _underlying(error: BaseException) -> BaseException:
    """The socket's or TLS's own error, if the connection wrapped one."""
    is_wrapped = type(error) is driver_connection.ConnectionException
    return error.__cause__ if is_wrapped and error.__cause__ is not None else error


def _refusal(node: str, cause: BaseException, has_credentials: bool) -> str:
    if not has_credentials:
        return (
            f"{node} wants credentials and none were given. "
            "Pass an auth_provider, or use create_with_auth"
        )
    return f"{cause}. {BadCredentialsError.advice}"


def _reason(error: BaseException | None) -> str:
    if isinstance(error, cassandra.OperationTimedOut):
        return str(error.errors or "timed out")
    if isinstance(error, ConnectionRefusedError):
        # asyncio says "Connect call failed".
        return "connection refused"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate was refused: {error.verify_message}"
    if isinstance(error, _wire.ProtocolError) and not isinstance(error, _wire.ChecksumError):
        return "what came back is not the native protocol"
    text = str(error).removesuffix(".")
    return text if text and text != "None" else type(error).__name__


def _connect_advice(causes: Iterable[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, WrongServerName):
            return ""
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                "Check the authority that tls or ssl_context trusts, "
                "and that the certificate names the host connected to"
            )
        if isinstance(cause, ssl.SSLError):
            return "Check that the server speaks TLS on this port, and which versions"
        if isinstance(cause, _wire.ChecksumError):
            return "Check what lies between, or use TLS"
        if isinstance(cause, ProviderFailed):
            return "Check the user name and the password, or what else the auth_provider answers"
        if isinstance(cause, (cassandra.OperationTimedOut, driver_connection.ConnectionShutdown)):
            return "Check that Cassandra listens there, and whether it wants TLS (tls)"
    return (
        "Check the contact points and the port, and that Cassandra's native transport listens there"
    )
