"""What happens when an attempt fails: the exception it means, and whether the request goes on.

The retry policy is asked about every failure that is not the statement's own. Idempotence is the
gate behind it: what may have reached a replica is sent again only if doing it twice is the same as
once, whatever a policy says. Errors by which the coordinator says that it did not start are free of
that gate.

Backoff: a policy that answers with three values names the pause itself, in seconds. For all others
a repetition on the same node waits, exponentially longer each time and with full jitter, so that
clients that failed together do not come back together; another node is asked at once.
"""

import copy
import random
from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING, Any

from cassandra import ConsistencyLevel, WriteType
from cassandra.policies import RetryPolicy

from async_cassandra._cql.analysis import MixedMarkersError, analyze, is_read
from async_cassandra._cql.redaction import without_literals, without_values
from async_cassandra._driver.errors import connection_lost, server_error, unreadable_answer
from async_cassandra._driver.request_settings import checked_level, is_number
from async_cassandra._net.errors import AuthenticationRefused, ConnectFailed, KeyspaceRefused
from async_cassandra._wire.errors import words_of
from async_cassandra._wire.protocol import ErrorCode
from async_cassandra._wire.requests import Batch, Prepare, Query
from async_cassandra.exceptions import (
    AsyncCassandraError,
    AuthenticationError,
    ConfigurationError,
    ConnectionError,
    KeyspaceRefusedError,
    OverloadedError,
    ParameterValueError,
    ProtocolError,
    QueryError,
    QueryTimeoutError,
    SessionClosedError,
    shown,
)

if TYPE_CHECKING:
    from async_cassandra._net.connection import NodeConnections
    from async_cassandra._request.request import Request
    from async_cassandra._wire.responses import ServerError

type Decision = tuple[int, int | None, float]
"""The ``RetryPolicy`` constant; the consistency; the seconds to wait first."""

type Answer = tuple[int, int | None, float | None]
"""A policy's answer in the same form; ``None`` if it names no pause."""

RETHROW: Decision = (RetryPolicy.RETHROW, None, 0.0)

FIRST_BACKOFF = 0.05
LONGEST_BACKOFF = 2.0

_ABOUT_REPLICAS = frozenset(
    {ErrorCode.UNAVAILABLE, ErrorCode.READ_TIMEOUT, ErrorCode.WRITE_TIMEOUT}
)
# They blame the request, and no policy is asked: any node would answer the same.
_ABOUT_THE_STATEMENT = frozenset({ErrorCode.PROTOCOL_ERROR, ErrorCode.BAD_CREDENTIALS})
_DECISIONS = (
    RetryPolicy.RETRY,
    RetryPolicy.RETRY_NEXT_HOST,
    RetryPolicy.RETHROW,
    RetryPolicy.IGNORE,
)
_LOGGED = 0


def consistency_of(request: "Request") -> int | None:
    """Return the consistency level that the request asks for, if its message has one."""
    return getattr(request.message, "consistency", None)


def _prepared_query(request: "Request") -> str | None:
    return None if request.call.prepared is None else request.call.prepared.query


def server_fault(request: "Request", node: "NodeConnections", error: "ServerError") -> QueryError:
    """Build the exception for a server's ERROR."""
    return server_error(
        error.code,
        without_values(error.message, request.message, _prepared_query(request)),
        error.fields,
        endpoint=node.endpoint,
        attempts=request.attempts,
        consistency=consistency_of(request),
    )


def decide(
    request: "Request", node: "NodeConnections", error: "ServerError", exception: Exception
) -> Decision:
    """Ask the retry policy what to do after a server's ERROR."""
    code = error.code
    if code >= ErrorCode.SYNTAX_ERROR or code in _ABOUT_THE_STATEMENT:
        return RETHROW
    if code in _ABOUT_REPLICAS:
        answer = _answer(request, _ask_about_replicas(request, error))
    else:
        answer = _ask_about_request(request, exception)
    decision, consistency, delay = answer
    if not _may_follow(request, decision, code):
        return RETHROW
    if delay is None:
        delay = backoff(request.retries) if decision == RetryPolicy.RETRY else 0.0
    return decision, consistency, delay


def _may_follow(request: "Request", decision: int, code: int | None) -> bool:
    """Whether a policy's decision may be carried out.

    :param code: the server's error, ``None`` for a lost connection
    """
    if decision == RetryPolicy.IGNORE:
        # A PREPARE's result is needed.
        return not isinstance(request.message, Prepare)
    if decision == RetryPolicy.RETHROW or code == ErrorCode.CAS_WRITE_UNKNOWN:
        return False
    return (
        request.call.idempotent
        or code == ErrorCode.IS_BOOTSTRAPPING
        or (code == ErrorCode.UNAVAILABLE and _is_all_or_nothing(request))
    )


def _is_all_or_nothing(request: "Request") -> bool:
    """Whether UNAVAILABLE means that it was sent to no replica at all.

    A coordinator counts the replicas of each partition just before it sends to them: those of
    another partition may have their part of an unlogged batch already. A lightweight transaction is
    decided before those for its last step are counted. For a logged batch, all are counted first.
    """
    message = request.message
    try:
        if isinstance(message, Batch):
            return message.batch_type == _LOGGED and not any(
                analyze(
                    query if isinstance(query, str) else request.call.batched[query].query
                ).is_conditional
                for query, _ in message.entries
            )
        if request.call.prepared is not None:
            return analyze(request.call.prepared.query).is_all_or_nothing
        text = message.query if isinstance(message, Query) else None
        return text is not None and analyze(text).is_all_or_nothing
    except MixedMarkersError:
        return False


def _ask_about_request(request: "Request", exception: Exception) -> Answer:
    answer = request.call.retry_policy.on_request_error(
        _decided(request), consistency_of(request), error=exception, retry_num=request.retries
    )
    return _answer(request, answer)


def _decided(request: "Request") -> Any:
    """Return the statement to show the policy; a write's ``is_idempotent`` says what was decided."""
    statement = request.call.statement
    if bool(statement.is_idempotent) is not request.call.idempotent and not is_read(statement):
        statement = copy.copy(statement)
        statement.is_idempotent = request.call.idempotent
    return statement


def _answer(request: "Request", answer: Any) -> Answer:
    """Check a policy's answer: a decision, alone or with a consistency, or with a pause too."""
    parts = answer if isinstance(answer, tuple) else (answer,)
    decision, consistency, delay = (*parts, None, None, None)[:3]
    if decision not in _DECISIONS:
        raise ConfigurationError(
            f"retry_policy: {request.call.retry_policy!r} answered {answer!r}; a decision is RETRY, "
            "RETRY_NEXT_HOST, RETHROW or IGNORE of RetryPolicy, alone or before a consistency level"
        )
    if consistency is not None:
        consistency = checked_level(
            consistency, "retry_policy: the consistency level in its answer"
        )
    if delay is not None and not is_number(delay, 0, inf):
        raise ConfigurationError(f"retry_policy: a pause takes seconds, not {shown(delay)}")
    return decision, consistency, delay


def _ask_about_replicas(request: "Request", error: "ServerError") -> Any:
    policy = request.call.retry_policy
    fields = error.fields
    if error.code == ErrorCode.UNAVAILABLE:
        return policy.on_unavailable(
            _decided(request),
            consistency=fields["consistency"],
            required_replicas=fields["required_replicas"],
            alive_replicas=fields["alive_replicas"],
            retry_num=request.retries,
        )
    if error.code == ErrorCode.READ_TIMEOUT:
        return policy.on_read_timeout(
            _decided(request),
            consistency=fields["consistency"],
            required_responses=fields["required_responses"],
            received_responses=fields["received_responses"],
            data_retrieved=fields["data_retrieved"],
            retry_num=request.retries,
        )
    write_type: str = fields["write_type"]
    return policy.on_write_timeout(
        _decided(request),
        consistency=fields["consistency"],
        write_type=WriteType.name_to_value.get(write_type, write_type),
        required_responses=fields["required_responses"],
        received_responses=fields["received_responses"],
        retry_num=request.retries,
    )


def decide_lost(request: "Request", exception: Exception) -> Decision:
    """Ask the retry policy what to do after a connection was lost with the request on it."""
    decision, consistency, delay = _ask_about_request(request, exception)
    if not _may_follow(request, decision, None):
        return RETHROW
    return decision, consistency, delay or 0.0


def backoff(earlier: int) -> float:
    """Return the seconds to wait before the next repetition: exponential with full jitter.

    :param earlier: repetitions or rounds so far, 0 or more
    """
    return random.uniform(0.0, min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(earlier, 30)))


def over_budget[E: Exception](exception: E) -> E:
    """Add a note to the exception of a request that the cluster's budget stops."""
    exception.add_note("Not sent again: the cluster's retry_budget is used up (ClientOptions)")
    return exception


def lost(request: "Request", node: "NodeConnections", error: BaseException) -> QueryError:
    """Build the exception for a request that was on a connection when it was lost."""
    return connection_lost(
        node.endpoint, error, attempts=request.attempts, is_idempotent=request.call.idempotent
    )


def unreadable(
    request: "Request", node: "NodeConnections", error: Exception, is_executed: bool
) -> Exception:
    """Build the exception for a request whose answer arrived complete but cannot be read.

    :param is_executed: whether it was the answer to the request itself, not to a PREPARE for it
    """
    if isinstance(error, MemoryError | AsyncCassandraError):
        return error
    return unreadable_answer(
        node.endpoint,
        error,
        attempts=request.attempts,
        consistency=consistency_of(request),
        may_have_written=is_executed and not request.call.idempotent,
    )


def timeout(request: "Request") -> QueryTimeoutError:
    """Build the exception for a request whose deadline has passed, saying where its time went."""
    times = request.attempt_times()
    node_seconds: dict[str, float] = {}
    for endpoint, start, end in times:
        node_seconds[endpoint] = node_seconds.get(endpoint, 0.0) + end - start
    places = [f"{endpoint} for {seconds:.3f} s" for endpoint, seconds in node_seconds.items()]
    if request.spent >= 0.001:
        places.insert(0, f"its statement to be prepared for {request.spent:.3f} s")
    errors = dict(request.errors or {})
    queued = request.queued_time()
    if request.queued_seconds or not request.attempts:
        places.append(f"a free connection for {queued:.3f} s")
        errors |= _unreachable(request)
    return QueryTimeoutError(
        _timeout_text(request, places, errors),
        endpoint=times[-1][0] if times else None,
        attempts=request.attempts,
        consistency=consistency_of(request),
        errors=errors,
        prepare_seconds=request.spent,
        queued_seconds=queued,
        node_seconds=node_seconds,
        wire_seconds=_covered((start, end) for _, start, end in times),
    )


def _timeout_text(request: "Request", places: list[str], errors: dict[str, Exception]) -> str:
    consistency = consistency_of(request)
    level = "none"
    if consistency is not None:
        level = ConsistencyLevel.value_to_name.get(consistency, str(consistency))
    text = (
        f"No answer within the timeout of {request.call.timeout:g} s: waited for {', '.join(places)} "
        f"(attempts: {request.attempts}, retries: {request.retries}, consistency: {level})."
    )
    if errors:
        text += " " + "; ".join(str(error) for error in errors.values()) + "."
    if not request.call.idempotent and request.attempts:
        text += " A write may or may not have been applied."
    return text


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Return the time that at least one of the spans covers."""
    total, until = 0.0, -inf
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def prepare_timeout(query: str, timeout: float) -> QueryTimeoutError:
    """Build the exception for a call whose deadline passed while another call's PREPARE was under way."""
    return QueryTimeoutError(
        f"No answer within the timeout of {timeout:g} s: waited for its statement to be prepared "
        f"(attempts: 0): {without_literals(query)[:200]}",
        prepare_seconds=timeout,
    )


def _unreachable(request: "Request") -> dict[str, Exception]:
    """Return why nodes have no connection, by endpoint."""
    pools = request.executor.nodes.values()
    return {
        pool.endpoint: pool.last_error
        for pool in pools
        if not pool.is_open and pool.last_error is not None
    }


def overloaded(request: "Request", queued: int) -> OverloadedError:
    """Build the exception for a request that found the queue full."""
    return OverloadedError(
        f"{queued} requests are already waiting for a connection, which is the limit (max_queued). "
        "Send fewer at once, or raise the limits of AsyncCluster",
        consistency=consistency_of(request),
    )


def unsendable(request: "Request", error: ValueError) -> ParameterValueError:
    """Build the exception for a request that cannot be encoded."""
    is_query = isinstance(error, UnicodeError) and hasattr(request.message, "query")
    what = "query" if is_query else "the request"
    return ParameterValueError(
        f"{what} cannot be sent: {words_of(error, None) or type(error).__name__}", error
    )


def closed(request: "Request") -> ConnectionError:
    """Build the exception for a request on a closed session."""
    return SessionClosedError("Session is closed")


def strange_keyspace(request: "Request", node: "NodeConnections", keyspace: str) -> ProtocolError:
    """Build the exception for an answer that says that its connection's keyspace has changed."""
    return ProtocolError(
        f"{node.endpoint} answered a statement other than USE with a change of keyspace, to "
        f"{keyspace!r}: the session's keyspace stays as it was, and the connection is replaced",
        endpoint=node.endpoint,
        attempts=request.attempts,
    )


def keyspace_timeout(keyspace: str, timeout: float) -> QueryTimeoutError:
    """Build the exception for a change of keyspace that did not finish in time; nothing changed."""
    return QueryTimeoutError(
        f"The keyspace was not changed to {keyspace!r} within the timeout of {timeout:g} s; it stays as it was"
    )


def held_timeout(timeout: float) -> QueryTimeoutError:
    """Build the exception for a call that timed out while the session's keyspace was being changed."""
    return QueryTimeoutError(
        f"No answer within the timeout of {timeout:g} s: waited for the session's keyspace to be "
        "changed (attempts: 0); nothing was sent",
        queued_seconds=timeout,
    )


def connect_fault(error: ConnectFailed) -> ConnectionError:
    """Build the exception for a session that could not be opened."""
    kind: type[ConnectionError] = ConnectionError
    if isinstance(error, AuthenticationRefused):
        kind = AuthenticationError
    elif isinstance(error, KeyspaceRefused):
        kind = KeyspaceRefusedError
    return kind(str(error), error, endpoint=error.endpoint)
