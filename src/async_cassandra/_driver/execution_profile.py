"""The driver's execution profile, with quick access to what requests look up often."""

from typing import Any

from async_cassandra._driver.cluster_names import DriverExecutionProfile
from async_cassandra._driver.lookups import ProfileSettings

__all__ = ["QuickProfile"]

# Those that are not in the instance's dictionary, where copies look for them.
_SETTINGS = tuple(name for name in vars(ProfileSettings) if not name.startswith("_"))


class QuickProfile(ProfileSettings, DriverExecutionProfile):
    """An execution profile that also says whether statements without a mark are idempotent."""

    def __init__(
        self, *settings: Any, is_idempotent: bool | None = None, **more_settings: Any
    ) -> None:
        super().__init__(*settings, **more_settings)
        self.is_idempotent = is_idempotent

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), **{name: getattr(self, name) for name in _SETTINGS}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
