"""What each request asks its execution profile for."""


cdef class ProfileSettings:
    """The settings of an execution profile that requests look up, kept where that takes no search."""


cdef ProfileSettings settings_of(profile):
    """The settings as they are now: the profile itself where it is one of ours, else a copy of its attributes."""
    cdef ProfileSettings settings
    if isinstance(profile, ProfileSettings):
        return <ProfileSettings>profile
    settings = ProfileSettings.__new__(ProfileSettings)
    settings.load_balancing_policy = profile.load_balancing_policy
    settings.retry_policy = profile.retry_policy
    settings.consistency_level = profile.consistency_level
    settings.serial_consistency_level = profile.serial_consistency_level
    settings.request_timeout = profile.request_timeout
    settings.row_factory = profile.row_factory
    settings.speculative_execution_policy = profile.speculative_execution_policy
    # The driver's classes have no such setting.
    settings.is_idempotent = getattr(profile, "is_idempotent", None)
    return settings
