"""Turns a failed request into an answer for the HTTP client that it served."""

import builtins
import logging
import math
from dataclasses import dataclass
from http import HTTPStatus

import cassandra
from cassandra import protocol

from async_cassandra.exceptions import (
    AsyncCassandraError,
    AuthenticationError,
    CasWriteUnknown,
    ConfigurationError,
    OverloadedError,
    ParameterTypeError,
    ParameterValueError,
    TimeoutError,
)

__all__ = ["Problem", "log_problem", "problem_of", "retry_after_header"]

logger: logging.Logger = logging.getLogger(__name__)

_PROGRAM = (ConfigurationError, AuthenticationError, protocol.SyntaxException)
_LATE = (TimeoutError, cassandra.Timeout, cassandra.OperationTimedOut, CasWriteUnknown)
_BAD_INPUT = (
    ParameterTypeError,
    ParameterValueError,
    cassandra.InvalidRequest,
    protocol.ProtocolException,
)
_BUSY = (
    cassandra.Unavailable,
    OverloadedError,
    protocol.OverloadedErrorMessage,
    protocol.IsBootstrappingErrorMessage,
    builtins.ConnectionError,
)


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer to an HTTP client; its text has no CQL, no values and no names of nodes.

    :ivar status: 400, 503 or 504
    :ivar may_retry: whether the same request may succeed a little later
    """

    status: HTTPStatus
    detail: str
    may_retry: bool = False


BAD_INPUT = Problem(HTTPStatus.BAD_REQUEST, "The request holds a value that cannot be used.")
BUSY = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE, "The database cannot take the request now.", may_retry=True
)
LATE = Problem(HTTPStatus.GATEWAY_TIMEOUT, "The database did not answer in time.")


def problem_of(error: BaseException) -> Problem | None:
    """Choose the answer to an error; ``None`` for a mistake in the program itself, a plain 500.

    A timeout, also of a replica, is 504; an error that may pass is 503; a parameter or paging
    token that the statement or the server refuses is 400.
    """
    if isinstance(error, _PROGRAM):
        return None
    for kinds, problem in ((_LATE, LATE), (_BAD_INPUT, BAD_INPUT), (_BUSY, BUSY)):
        if isinstance(error, kinds):
            return problem
    return None


def retry_after_header(problem: Problem, seconds: float) -> dict[str, str]:
    """Return the ``Retry-After`` header, in whole seconds as HTTP requires, if the answer needs one."""
    return {"Retry-After": str(math.ceil(seconds))} if problem.may_retry else {}


def log_problem(method: str, path: str, problem: Problem, error: AsyncCassandraError) -> None:
    """Tell the operator what the HTTP client is not told."""
    level = logging.INFO if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR else logging.WARNING
    logger.log(level, "%s %s: %d, because %r", method, path, problem.status, error)
