"""Makes the error of what a server or the driver reports, with words that name node, reason and remedy."""

import ssl
from collections.abc import Iterable, Mapping
from typing import Any

import cassandra
from cassandra import connection as driver_connection
from cassandra import protocol

from async_cassandra._default_connection import NoHostAvailable
from async_cassandra._driver.authentication import ProviderFailed
from async_cassandra._driver.server_names import WrongServerName
from async_cassandra._wire import errors as _wire
from async_cassandra.exceptions import (
    AsyncCassandraError,
    BadCredentialsError,
    ConfigurationError,
    ConnectFailedError,
    ConnectionBrokenError,
    ConnectionError,
    ConnectionLostError,
    ConnectRefusedError,
    ServerReport,
    UnknownServerError,
    UnpreparedError,
    UnreadableAnswerError,
    UnresolvedContactPointsError,
)

_BY_CODE: dict[int, type[ServerReport]] = {
    kind.code: kind for kind in ServerReport.__subclasses__() if "code" in vars(kind)
}

# Outside the driver's classes, a CAS failure's consistency is that of its paxos phase.
_ALREADY_PUBLIC = frozenset({"consistency"})


def server_error(
    code: int,
    message: str,
    fields: Mapping[str, Any] | None = None,
    *,
    endpoint: str | None = None,
    attempts: int = 1,
    consistency: int | None = None,
) -> ServerReport:
    """Build the exception for an ERROR message.

    ``write_type`` may be the protocol's word or the driver's number; the exception has the
    driver's number, or the word if the driver has no number for it.

    :param code: the protocol's error code; an unknown one gives ``UnknownServerError``
    :param message: the server's own words
    :param endpoint: the coordinator, as ``"address:port"``
    :param consistency: the request's own, used if the fields have none
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
    kind: type[ServerReport],
    code: int,
    message: str,
    facts: Mapping[str, Any],
    *,
    endpoint: str | None,
) -> str:
    where = f", says {endpoint}" if endpoint else ""
    details = _details(facts)
    text = f"{kind.summary}{where}: {message or 'no details given'} [code 0x{code:04X}{details}]"
    return f"{text}. {kind.advice}" if kind.advice else text


def _details(facts: Mapping[str, Any]) -> str:
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


def connection_lost(
    endpoint: str,
    cause: BaseException | None = None,
    *,
    attempts: int = 1,
    is_idempotent: bool = False,
) -> ConnectionLostError:
    """Build the error for a request whose connection was lost after it had been sent.

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
    """Build the error for a request whose answer arrived complete but cannot be read."""
    text = f"The answer of {endpoint} violates the native protocol and cannot be read: {cause}."
    if may_have_written:
        text += " The request may have been executed."
    return UnreadableAnswerError(
        text, cause, endpoint=endpoint, attempts=attempts, consistency=consistency
    )


def connect_error(
    error: BaseException, contact_points: Iterable[object], port: int, *, has_credentials: bool
) -> AsyncCassandraError:
    """Turn what the driver raises while connecting into one error that names the node and the reason.

    :param has_credentials: whether the cluster has an ``auth_provider``
    """
    points = ", ".join(str(point) for point in contact_points)
    if isinstance(error, AsyncCassandraError):
        return error
    if isinstance(error, NoHostAvailable):
        return _no_contact_point(error, points, port, has_credentials)
    if isinstance(error, cassandra.UnresolvableContactPoints):
        return UnresolvedContactPointsError(
            f"None of the contact points has an address: {points}. Check the names and DNS; "
            "the port is a separate argument, not part of a name",
            error,
        )
    if isinstance(error, (TypeError, ValueError)):
        return ConfigurationError(f"The cluster cannot be set up: {error}", error)
    return ConnectionError(f"Could not connect to {points} (port {port}): {_reason(error)}", error)


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
    """Return the socket's or TLS's own error, if the connection wrapped one."""
    is_wrapped = type(error) is driver_connection.ConnectionException
    return error.__cause__ if is_wrapped and error.__cause__ is not None else error


def _refusal(node: str, cause: BaseException, has_credentials: bool) -> str:
    if not has_credentials:
        return (
            f"{node} requires credentials and none were given. "
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
            return "Check the user name and the password, or whatever the auth_provider returns"
        if isinstance(cause, (cassandra.OperationTimedOut, driver_connection.ConnectionShutdown)):
            return "Check that Cassandra listens there, and whether it requires TLS (tls)"
    return (
        "Check the contact points and the port, and that Cassandra's native transport listens there"
    )
