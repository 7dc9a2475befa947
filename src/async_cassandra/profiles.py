"""Execution profiles: settings under a name, for some of a session's requests."""

from typing import Any

from async_cassandra._driver.execution_profile import QuickProfile
from async_cassandra.retry_policy import DefaultRetryPolicy

__all__ = ["ExecutionProfile"]


class ExecutionProfile(QuickProfile):
    """The driver's execution profile, with this library's retry policy and a default for ``is_idempotent``.

    The driver's own profiles work as well; they bring the driver's retry policy, and leave each
    statement to its mark.

    :param is_idempotent: whether statements that say nothing themselves may be sent again after
        they may have been executed; ``None`` leaves it to ``ClientOptions(infer_idempotence=...)``
    :param settings: those of ``cassandra.cluster.ExecutionProfile``; without ``retry_policy`` it is
        a :class:`DefaultRetryPolicy`, as a cluster's
    """

    def __init__(
        self, *settings: Any, is_idempotent: bool | None = None, **more_settings: Any
    ) -> None:
        super().__init__(*settings, is_idempotent=is_idempotent, **more_settings)
        given = settings[1] if len(settings) > 1 else more_settings.get("retry_policy")
        if given is None:
            self.retry_policy = DefaultRetryPolicy()
