"""Retry policies, in the driver's ``RetryPolicy`` interface.

A policy is asked about every failure except errors in the statement. Its decisions to raise and to
ignore are followed; its decisions to repeat are followed if that is harmless: a request that is not
idempotent is never repeated once it may have reached a replica. The ``is_idempotent`` of the write
that a policy sees is what was decided: by its mark, its profile, or its CQL.

A policy may set the pause before a repetition with a third value in its answer, in seconds. Without
one, the same node is asked again after an exponential backoff with full jitter, and another node at
once.
"""

from typing import Any

from cassandra import CDCWriteFailure, FunctionFailure, ReadFailure, WriteFailure, WriteType
from cassandra.policies import RetryPolicy
from cassandra.protocol import TruncateError

from async_cassandra._cql.analysis import is_read

__all__ = ["AsyncRetryPolicy", "DefaultRetryPolicy"]

Decision = tuple[int, int | None]
"""One of ``RetryPolicy``'s constants, and the consistency for the repetition."""

# They come from the replicas or from the statement: another coordinator would hear the same.
_FINAL = (WriteFailure, CDCWriteFailure, FunctionFailure)
_WORTH_ONE_MORE = (ReadFailure, TruncateError)

_REPEATABLE_WRITES = frozenset({WriteType.SIMPLE, WriteType.BATCH, WriteType.UNLOGGED_BATCH})


def _is_idempotent(query: Any) -> bool:
    """Whether the statement is marked idempotent, by whatever decided that, or is a read."""
    return getattr(query, "is_idempotent", None) is True or is_read(query)


def _is_repeatable_write(write_type: int | str) -> bool:
    if isinstance(write_type, str):
        return WriteType.name_to_value.get(write_type) in _REPEATABLE_WRITES
    return write_type in _REPEATABLE_WRITES


class DefaultRetryPolicy(RetryPolicy):
    """A cluster's default policy: the driver's, and a failed read also tries the next host."""

    def on_read_timeout(
        self,
        query: Any,
        consistency: int,
        required_responses: int,
        received_responses: int,
        data_retrieved: bool,
        retry_num: int,
    ) -> Decision:
        if retry_num > 0:
            return self.RETHROW, None
        if received_responses >= required_responses and not data_retrieved:
            # Only the digests came: the coordinator now prefers the replicas that were quick.
            return self.RETRY, consistency
        return self.RETRY_NEXT_HOST, consistency

    def on_write_timeout(
        self,
        query: Any,
        consistency: int,
        write_type: int | str,
        required_responses: int,
        received_responses: int,
        retry_num: int,
    ) -> Decision:
        if retry_num == 0 and write_type in (WriteType.BATCH_LOG, "BATCH_LOG"):
            return self.RETRY, consistency
        return self.RETHROW, None

    def on_unavailable(
        self,
        query: Any,
        consistency: int,
        required_replicas: int,
        alive_replicas: int,
        retry_num: int,
    ) -> Decision:
        if retry_num > 0:
            return self.RETHROW, None
        return self.RETRY_NEXT_HOST, consistency

    def on_request_error(
        self, query: Any, consistency: int | None, error: Exception, retry_num: int
    ) -> Decision:
        if isinstance(error, _FINAL) or (retry_num > 0 and isinstance(error, _WORTH_ONE_MORE)):
            return self.RETHROW, None
        return self.RETRY_NEXT_HOST, consistency


class AsyncRetryPolicy(RetryPolicy):
    """Retries up to a maximum, and writes only if their statement says ``is_idempotent=True``.

    :param max_retries: repetitions of one request, 0 or more, over all its hosts
    """

    def __init__(self, max_retries: int = 3) -> None:
        self.max_retries = max_retries

    def __repr__(self) -> str:
        return f"{type(self).__name__}(max_retries={self.max_retries})"

    def on_read_timeout(
        self,
        query: Any,
        consistency: int,
        required_responses: int,
        received_responses: int,
        data_retrieved: bool,
        retry_num: int,
    ) -> Decision:
        if retry_num >= self.max_retries:
            return self.RETHROW, None
        if data_retrieved or received_responses >= required_responses:
            return self.RETRY, consistency
        return self.RETHROW, None

    def on_write_timeout(
        self,
        query: Any,
        consistency: int,
        write_type: int | str,
        required_responses: int,
        received_responses: int,
        retry_num: int,
    ) -> Decision:
        if retry_num >= self.max_retries or not _is_idempotent(query):
            return self.RETHROW, None
        if _is_repeatable_write(write_type):
            return self.RETRY, consistency
        return self.RETHROW, None

    def on_unavailable(
        self,
        query: Any,
        consistency: int,
        required_replicas: int,
        alive_replicas: int,
        retry_num: int,
    ) -> Decision:
        if retry_num >= self.max_retries:
            return self.RETHROW, None
        if retry_num == 0:
            return self.RETRY_NEXT_HOST, consistency
        return self.RETRY, consistency

    def on_request_error(
        self, query: Any, consistency: int | None, error: Exception, retry_num: int
    ) -> Decision:
        if retry_num >= self.max_retries or not _is_idempotent(query):
            return self.RETHROW, None
        return self.RETRY_NEXT_HOST, consistency
