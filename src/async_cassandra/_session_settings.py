"""The settings that an application changes on a session, for later requests."""

from collections.abc import Callable
from copy import copy
from typing import Any

from cassandra.pool import Host

from async_cassandra._driver.cluster_names import EXEC_PROFILE_DEFAULT, DriverExecutionProfile
from async_cassandra._driver.counterparts import ASSIGNED_ON_SESSION, SESSION, DriverFace
from async_cassandra._driver.request_settings import (
    checked_fetch_size,
    checked_level,
    checked_serial_level,
    checked_timeout,
    is_number,
)
from async_cassandra._request.call import CallOptions
from async_cassandra._session.core import SessionCore
from async_cassandra._statements.statements import RowFactory
from async_cassandra.exceptions import ConfigurationError

__all__ = ["SESSION_ATTRIBUTES", "SessionSettings"]


class SessionSettings(DriverFace):
    """The driver's ``default_*`` attributes of a session, and others that programs read and set.

    They apply to requests that name no execution profile. If the cluster was given profiles, those
    apply, and setting one here is refused as in the driver. Concurrency: earlier requests
    keep what they had.
    """

    _counterparts = SESSION
    _assigned = ASSIGNED_ON_SESSION
    _core: SessionCore

    @property
    def default_timeout(self) -> float | None:
        """Seconds for each page of a request, its retries included; ``None`` for no limit."""
        timeout: float | None = self._core.calls.default_options.profile.request_timeout
        return timeout

    @default_timeout.setter
    def default_timeout(self, timeout: float | None) -> None:
        checked_timeout(timeout, "default_timeout")
        self._set("default_timeout", "request_timeout", timeout)

    @property
    def default_consistency_level(self) -> int:
        """The ``cassandra.ConsistencyLevel`` for statements that set none."""
        level: int = self._core.calls.default_options.profile.consistency_level
        return level

    @default_consistency_level.setter
    def default_consistency_level(self, level: int) -> None:
        checked = checked_level(level, "default_consistency_level")
        self._set("default_consistency_level", "consistency_level", checked)

    @property
    def default_serial_consistency_level(self) -> int | None:
        """SERIAL or LOCAL_SERIAL for statements that set none; ``None`` leaves it to the server."""
        level: int | None = self._core.calls.default_options.profile.serial_consistency_level
        return level

    @default_serial_consistency_level.setter
    def default_serial_consistency_level(self, level: int | None) -> None:
        name = "default_serial_consistency_level"
        if level is not None:
            level = checked_serial_level(level, name)
        self._set(name, "serial_consistency_level", level)

    @property
    def row_factory(self) -> RowFactory:
        """A callable that makes results from column names and rows, such as ``cassandra.query.dict_factory``."""
        factory: RowFactory = self._core.calls.default_options.profile.row_factory
        return factory

    @row_factory.setter
    def row_factory(self, factory: RowFactory) -> None:
        if not callable(factory):
            raise ConfigurationError(
                f"row_factory takes a callable of column names and rows, not {factory!r}"
            )
        self._set("row_factory", "row_factory", factory)

    @property
    def default_fetch_size(self) -> int | None:
        """Rows per page for statements that do not set it, 1 to 2**31 - 1; ``None`` for no pages."""
        return self._core.builder.default_fetch_size or None

    @default_fetch_size.setter
    def default_fetch_size(self, fetch_size: int | None) -> None:
        self._core.builder.default_fetch_size = checked_fetch_size(fetch_size, "default_fetch_size")

    @property
    def use_client_timestamp(self) -> bool:
        """Whether writes carry the client's time; otherwise the server's time is used."""
        return self._core.calls.uses_client_timestamps

    @use_client_timestamp.setter
    def use_client_timestamp(self, use: bool) -> None:
        if not isinstance(use, bool):
            raise ConfigurationError(f"use_client_timestamp takes True or False, not {use!r}")
        self._core.calls.uses_client_timestamps = use
        self._core.calls.choose_timestamps()

    @property
    def timestamp_generator(self) -> Callable[[], int] | None:
        """A callable that returns microseconds since 1970; ``None`` for the cluster's."""
        return self._core.calls.timestamp_generator

    @timestamp_generator.setter
    def timestamp_generator(self, generator: Callable[[], int] | None) -> None:
        if isinstance(generator, type) or not (generator is None or callable(generator)):
            raise ConfigurationError(
                f"timestamp_generator takes a callable that returns microseconds, not {generator!r}"
            )
        self._core.calls.timestamp_generator = generator
        self._core.calls.choose_timestamps()

    @property
    def max_trace_wait(self) -> float:
        """Seconds that ``get_query_trace()`` waits for the server to write a trace."""
        return self._core.traces.max_wait

    @max_trace_wait.setter
    def max_trace_wait(self, seconds: float) -> None:
        if not is_number(seconds, 0, float("inf")):
            raise ConfigurationError(f"max_trace_wait takes seconds, 0 or more, not {seconds!r}")
        self._core.traces.max_wait = seconds

    @property
    def hosts(self) -> list[Host]:
        """The cluster's nodes as the driver knows them now, up or not."""
        return self._core.control.hosts()

    @property
    def is_shutdown(self) -> bool:
        """Whether requests are refused; the driver's name for ``is_closed``."""
        return self._core.unusable is not None

    def get_execution_profile(self, name: object = EXEC_PROFILE_DEFAULT) -> DriverExecutionProfile:
        """Return the profile that a request with ``execution_profile=name`` uses.

        :raises ~async_cassandra.exceptions.ConfigurationError: if it does not exist
        """
        if name is EXEC_PROFILE_DEFAULT:
            return self._core.calls.default_options.profile
        return self._core.control.profile(name)

    def execution_profile_clone_update(
        self, execution_profile: object, **changes: Any
    ) -> DriverExecutionProfile:
        """Copy a profile with changes, to pass as ``execution_profile``; the copy shares the policies.

        :param execution_profile: its name or the object
        :param changes: fields of the profile
        :raises ~async_cassandra.exceptions.ConfigurationError: if there is no such profile or field
        """
        clone = copy(self.get_execution_profile(execution_profile))
        for name, value in changes.items():
            if not hasattr(clone, name):
                raise ConfigurationError(f"an execution profile has no {name}")
            setattr(clone, name, value)
        return clone

    def _set(self, name: str, field: str, value: object) -> None:
        """Give the session a default profile of its own, with one field changed."""
        core = self._core
        if core.control.has_given_profiles:
            raise ConfigurationError(
                f"{name} and execution_profiles contradict each other: set {field} in the profile "
                "that AsyncCluster(execution_profiles=...) has for EXEC_PROFILE_DEFAULT"
            )
        profile = copy(core.calls.default_options.profile)
        setattr(profile, field, value)
        core.calls.default_options = CallOptions(profile)


SESSION_ATTRIBUTES = frozenset(
    name for name, own in vars(SessionSettings).items() if isinstance(own, property)
)
