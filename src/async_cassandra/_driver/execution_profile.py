"""An execution profile that also says whether statements without a mark are idempotent."""

from typing import Any

from async_cassandra._driver.cluster_names import DriverExecutionProfile
from async_cassandra._driver.profile_settings import ProfileSettings

__all__ = ["ExecutionProfile"]


class ExecutionProfile(ProfileSettings, DriverExecutionProfile):
    """The driver's execution profile, with a default for ``is_idempotent``.

    The driver's own profiles work as well; they leave each statement to its mark.

    :param is_idempotent: whether statements that say nothing themselves may be sent again after
        they may have been executed; ``None`` leaves it to ``ClientOptions(infer_idempotence=...)``
    :param settings: those of ``cassandra.cluster.ExecutionProfile``
    """

    def __init__(
        self, *settings: Any, is_idempotent: bool | None = None, **more_settings: Any
    ) -> None:
        super().__init__(*settings, **more_settings)
        self.is_idempotent = is_idempotent
