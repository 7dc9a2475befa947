"""Execution profiles: settings under a name, for some of a session's requests."""

from typing import Any

from async_cassandra._driver.execution_profile import QuickProfile
from async_cassandra.retry_policy import DefaultRetryPolicy

__all__ = ["ExecutionProfile"]


class ExecutionProfile(QuickProfile):
    """The driver's execution profile, with this library's retry policy and a default for ``is_idempotent``.

    The driver's own profiles work as well; they have the driver's retry policy, and leave
    idempotence to each statement.

    :param is_idempotent: whether statements that do not say so themselves may be sent again after
        they may have been executed; ``None`` leaves it to ``ClientOptions(infer_idempotence=...)``
    :param settings: those of ``cassandra.cluster.ExecutionProfile``; ``retry_policy`` is
        a :class:`DefaultRetryPolicy` by default, as for a cluster
    """

    def __init__(
        self, *settings: Any, is_idempotent: bool | None = None, **more_settings: Any
    ) -> None:
        super().__init__(*settings, is_idempotent=is_idempotent, **more_settings)
        given = settings[1] if len(settings) > 1 else more_settings.get("retry_policy")
        if given is None:
            self.retry_policy = DefaultRetryPolicy()
