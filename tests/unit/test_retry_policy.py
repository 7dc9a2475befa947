"""Retry decisions, rule by rule."""

from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import ConsistencyLevel, WriteFailure, WriteType
from cassandra.policies import RetryPolicy

from async_cassandra.retry_policy import AsyncRetryPolicy, DefaultRetryPolicy

ONE = ConsistencyLevel.ONE
RETRY = (RetryPolicy.RETRY, ONE)
NEXT_HOST = (RetryPolicy.RETRY_NEXT_HOST, ONE)
RETHROW = (RetryPolicy.RETHROW, None)
IDEMPOTENT = SimpleNamespace(is_idempotent=True)
NOT_IDEMPOTENT = SimpleNamespace(is_idempotent=False)
LAST = 3


def read_timeout(policy: Any, required: int, received: int, data: bool, retry_num: int = 0) -> Any:
    return policy.on_read_timeout(IDEMPOTENT, ONE, required, received, data, retry_num)


def write_timeout(policy: Any, query: Any, write_type: Any, retry_num: int = 0) -> Any:
    return policy.on_write_timeout(query, ONE, write_type, 2, 1, retry_num)


def test_async_policy_retries_a_read_that_got_data() -> None:
    assert read_timeout(AsyncRetryPolicy(), 2, 1, True) == RETRY


def test_async_policy_retries_a_read_with_enough_answers() -> None:
    assert read_timeout(AsyncRetryPolicy(), 2, 2, False) == RETRY


def test_async_policy_gives_up_a_read_with_too_few_answers() -> None:
    assert read_timeout(AsyncRetryPolicy(), 2, 1, False) == RETHROW


@pytest.mark.parametrize(
    "write_type",
    [WriteType.SIMPLE, WriteType.BATCH, WriteType.UNLOGGED_BATCH, "SIMPLE", "UNLOGGED_BATCH"],
)
def test_async_policy_retries_a_write_that_is_marked(write_type: Any) -> None:
    assert write_timeout(AsyncRetryPolicy(), IDEMPOTENT, write_type) == RETRY


@pytest.mark.parametrize("write_type", [WriteType.COUNTER, WriteType.CAS, "BATCH_LOG", "CDC", "?"])
def test_async_policy_gives_up_other_writes(write_type: Any) -> None:
    assert write_timeout(AsyncRetryPolicy(), IDEMPOTENT, write_type) == RETHROW


@pytest.mark.parametrize(
    "query", [NOT_IDEMPOTENT, SimpleNamespace(is_idempotent=None), SimpleNamespace(), None]
)
def test_async_policy_never_repeats_what_is_not_marked(query: Any) -> None:
    policy = AsyncRetryPolicy()
    assert write_timeout(policy, query, WriteType.SIMPLE) == RETHROW
    assert policy.on_request_error(query, ONE, OSError(), 0) == RETHROW


def test_async_policy_asks_the_next_host_once_when_replicas_are_missing() -> None:
    policy = AsyncRetryPolicy()
    assert policy.on_unavailable(NOT_IDEMPOTENT, ONE, 2, 1, 0) == NEXT_HOST
    assert policy.on_unavailable(NOT_IDEMPOTENT, ONE, 2, 1, 1) == RETRY


def test_async_policy_asks_the_next_host_after_a_request_error() -> None:
    assert AsyncRetryPolicy().on_request_error(IDEMPOTENT, ONE, OSError(), 2) == NEXT_HOST


def test_async_policy_gives_up_at_its_maximum() -> None:
    policy = AsyncRetryPolicy(max_retries=LAST)
    assert read_timeout(policy, 2, 2, True, LAST) == RETHROW
    assert write_timeout(policy, IDEMPOTENT, WriteType.SIMPLE, LAST) == RETHROW
    assert policy.on_unavailable(IDEMPOTENT, ONE, 2, 1, LAST) == RETHROW
    assert policy.on_request_error(IDEMPOTENT, ONE, OSError(), LAST) == RETHROW


def test_async_policy_may_be_told_never_to_retry() -> None:
    assert read_timeout(AsyncRetryPolicy(0), 2, 2, True) == RETHROW


@pytest.mark.parametrize("data", [True, False])
@pytest.mark.parametrize("received", [0, 1])
def test_default_policy_tries_a_failed_read_on_the_next_host(received: int, data: bool) -> None:
    assert read_timeout(DefaultRetryPolicy(), 2, received, data) == NEXT_HOST


def test_default_policy_repeats_a_read_whose_data_alone_was_late() -> None:
    assert read_timeout(DefaultRetryPolicy(), 2, 2, False) == RETRY


def test_default_policy_retries_once() -> None:
    policy = DefaultRetryPolicy()
    assert read_timeout(policy, 2, 2, False, 1) == RETHROW
    assert policy.on_unavailable(IDEMPOTENT, ONE, 2, 1, 1) == RETHROW
    assert write_timeout(policy, IDEMPOTENT, WriteType.BATCH_LOG, 1) == RETHROW


def test_default_policy_repeats_only_the_batch_log_of_a_write() -> None:
    policy = DefaultRetryPolicy()
    assert write_timeout(policy, IDEMPOTENT, WriteType.BATCH_LOG) == RETRY
    assert write_timeout(policy, IDEMPOTENT, WriteType.SIMPLE) == RETHROW


def test_default_policy_asks_another_coordinator() -> None:
    policy = DefaultRetryPolicy()
    assert policy.on_unavailable(IDEMPOTENT, ONE, 2, 1, 0) == NEXT_HOST
    assert policy.on_request_error(IDEMPOTENT, ONE, OSError(), 0) == NEXT_HOST


def test_default_policy_does_not_repeat_a_write_that_replicas_refused() -> None:
    assert DefaultRetryPolicy().on_request_error(IDEMPOTENT, ONE, WriteFailure("x"), 0) == RETHROW
