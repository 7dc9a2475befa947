"""Execution profiles: the driver's settings, this library's defaults."""

import copy
from typing import Any

import pytest
from cassandra import ConsistencyLevel
from cassandra.cluster import ExecutionProfile as DriverExecutionProfile
from cassandra.policies import FallthroughRetryPolicy, RetryPolicy, RoundRobinPolicy
from cassandra.query import dict_factory

from async_cassandra import AsyncRetryPolicy, DefaultRetryPolicy, ExecutionProfile

SETTINGS: dict[str, Any] = {
    "load_balancing_policy": RoundRobinPolicy(),
    "retry_policy": FallthroughRetryPolicy(),
    "consistency_level": ConsistencyLevel.QUORUM,
    "serial_consistency_level": ConsistencyLevel.LOCAL_SERIAL,
    "request_timeout": 2.5,
    "row_factory": dict_factory,
}


def test_settings_are_the_drivers() -> None:
    own, driver = ExecutionProfile(**SETTINGS), DriverExecutionProfile(**SETTINGS)
    assert isinstance(own, DriverExecutionProfile)
    for name, value in SETTINGS.items():
        assert getattr(own, name) is getattr(driver, name) is value


def test_defaults_are_the_drivers_but_for_the_retry_policy() -> None:
    own, driver = ExecutionProfile(), DriverExecutionProfile()
    assert own.is_idempotent is None
    for name in ("consistency_level", "serial_consistency_level", "request_timeout", "row_factory"):
        assert getattr(own, name) == getattr(driver, name)
    for name in ("load_balancing_policy", "speculative_execution_policy"):
        assert type(getattr(own, name)) is type(getattr(driver, name))


@pytest.mark.parametrize("settings", [(), (RoundRobinPolicy(),), (RoundRobinPolicy(), None)])
def test_retry_policy_that_is_not_named_is_this_librarys(settings: tuple[Any, ...]) -> None:
    assert type(ExecutionProfile(*settings).retry_policy) is DefaultRetryPolicy


@pytest.mark.parametrize("policy", [RetryPolicy(), AsyncRetryPolicy()])
def test_retry_policy_that_is_named_stays(policy: RetryPolicy) -> None:
    assert ExecutionProfile(retry_policy=policy).retry_policy is policy
    assert ExecutionProfile(RoundRobinPolicy(), policy).retry_policy is policy


def test_copy_has_the_same_settings_and_is_independent() -> None:
    profile = ExecutionProfile(**SETTINGS, is_idempotent=True)
    twin = copy.copy(profile)
    twin.request_timeout = 5.0
    assert (profile.request_timeout, twin.is_idempotent) == (2.5, True)
    assert twin.retry_policy is profile.retry_policy
