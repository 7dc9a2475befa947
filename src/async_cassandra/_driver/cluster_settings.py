"""The settings of the driver's ``Cluster``: which are accepted, of what type, and why others are not.

Each setting affects data connections and requests as in the driver, or is refused by
name. One that is new in a driver and not known here is refused too.
"""

import contextlib
import inspect
import ipaddress
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from cassandra.cluster import Cluster, ExecutionProfile
from cassandra.connection import EndPoint

from async_cassandra._driver.control_connection import Probing
from async_cassandra._driver.driver_cluster import PROTOCOL_VERSIONS
from async_cassandra._driver.request_settings import check_profile, is_number
from async_cassandra.exceptions import ConfigurationError, shown

# Characters that no host name or address has, but URLs, user:password@host and broken text do.
_NO_NAME = re.compile(r"[^\w.-]")

DRIVER_SETTINGS = frozenset(inspect.signature(Cluster.__init__).parameters) - {"self"}

_OF_CONNECTIONS = frozenset({"server_hostname"})
_OF_CONTEXTS = frozenset(
    {
        "ssl_version",
        "cert_reqs",
        "check_hostname",
        "keyfile",
        "certfile",
        "ca_certs",
        "ciphers",
    }
)


def _is_seconds(value: object) -> bool:
    return is_number(value, -math.inf, math.inf)


def _is_positive(value: object) -> bool:
    return is_number(value, 0, math.inf) and value != 0


def _has(*methods: str) -> Callable[[object], bool]:
    return lambda value: (
        not isinstance(value, type) and all(hasattr(value, method) for method in methods)
    )


def _is_socket_option(value: object) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) in (3, 4)
        and all(isinstance(part, int | bytes | bytearray | None) for part in value)
    )


def _is_contact_point(value: object) -> bool:
    match value:
        case (str(name), int()) | str(name):
            return bool(name)
    return isinstance(value, EndPoint)


def _all(is_one: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, Collection)
        and not isinstance(value, str | bytes | Mapping)
        and all(is_one(item) for item in value)
    )


def _is_profiles(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(profile, ExecutionProfile) for profile in value.values()
    )


def _is(*kinds: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kinds)


class Setting(NamedTuple):
    """What holds for one setting.

    :ivar fits: whether a value is of the right kind
    :ivar words: what the value has to be
    :ivar refused: why it cannot be given: it would have no effect, and not be missed until it matters
    :ivar refused_if_on: why it can only be ``False``
    :ivar none_is_meant: ``None`` is a choice; elsewhere it says nothing
    :ivar startup: what STARTUP calls it
    """

    fits: Callable[[object], bool]
    words: str
    refused: str = ""
    refused_if_on: str = ""
    none_is_meant: bool = False
    startup: str = ""


def _refused(reason: str) -> Setting:
    return Setting(lambda value: False, "nothing", refused=reason)


def _switch(*, refused_if_on: str = "") -> Setting:
    return Setting(_is(bool), "True or False", refused_if_on=refused_if_on)


_NO_INSIGHTS = "it is for reports to DataStax Enterprise, which do not exist here: leave it out"
_WINDOW = Setting(_is_seconds, "seconds, or a number below 0 for never")
_POLICY = "an instance of such a policy, not its class"
SETTINGS: dict[str, Setting] = {
    "contact_points": Setting(
        lambda value: bool(value) and _all(_is_contact_point)(value),
        "a list of one or more addresses, names, (address, port) or EndPoints",
    ),
    "port": Setting(lambda value: is_number(value, 1, 65535, whole=True), "1 to 65535"),
    "compression": Setting(_is(bool, str), "True, False or 'lz4'"),
    "auth_provider": Setting(_has("new_authenticator"), "a cassandra.auth.AuthProvider"),
    "load_balancing_policy": Setting(_has("make_query_plan", "populate", "distance"), _POLICY),
    "reconnection_policy": Setting(_has("new_schedule"), _POLICY),
    "default_retry_policy": Setting(_has("on_read_timeout", "on_write_timeout"), _POLICY),
    "conviction_policy_factory": Setting(callable, "a callable that makes a policy for a host"),
    "metrics_enabled": _switch(
        refused_if_on="the driver's metrics do not see this library's requests: pass "
        "metrics=create_metrics_system(...)"
    ),
    "connection_class": _refused("the connections are this library's own: leave it out"),
    "ssl_options": Setting(_is(Mapping), "a dict"),
    "sockopts": Setting(_all(_is_socket_option), "a list of tuples for socket.setsockopt()"),
    "cql_version": Setting(_is(str), "a version, such as '3.4.7'", startup="CQL_VERSION"),
    "protocol_version": Setting(
        lambda value: isinstance(value, int) and value in PROTOCOL_VERSIONS,
        "5 or 4; leave it out for the highest that the server has",
    ),
    "executor_threads": Setting(
        lambda value: is_number(value, 1, math.inf, whole=True), "1 or more"
    ),
    "max_schema_agreement_wait": Setting(_is_seconds, "seconds, 0 for no wait"),
    "control_connection_timeout": Setting(
        _is_positive, "seconds above 0, or None for no limit", none_is_meant=True
    ),
    "idle_heartbeat_interval": Setting(
        lambda value: is_number(value, 0, math.inf),
        "seconds, 0 or more; 0 or None for never",
        none_is_meant=True,
    ),
    "idle_heartbeat_timeout": Setting(_is_positive, "seconds above 0"),
    "schema_event_refresh_window": _WINDOW,
    "topology_event_refresh_window": _WINDOW,
    "status_event_refresh_window": _WINDOW,
    "connect_timeout": Setting(_is_positive, "seconds above 0"),
    "schema_metadata_enabled": _switch(),
    "token_metadata_enabled": _switch(),
    "address_translator": Setting(_has("translate"), "an AddressTranslator, not its class"),
    "prepare_on_all_hosts": _switch(),
    "reprepare_on_up": _switch(),
    "execution_profiles": Setting(_is_profiles, "a dict of names to ExecutionProfile objects"),
    "allow_beta_protocol_version": _switch(
        refused_if_on="the supported protocol versions, 5 and 4, are not beta versions: leave it out"
    ),
    "timestamp_generator": Setting(callable, "a callable that returns microseconds since 1970"),
    "no_compact": _switch(),
    "endpoint_factory": Setting(_has("create", "configure"), "an EndPointFactory, not its class"),
    "application_name": Setting(_is(str), "text", startup="APPLICATION_NAME"),
    "application_version": Setting(_is(str), "text", startup="APPLICATION_VERSION"),
    "monitor_reporting_enabled": _switch(refused_if_on=_NO_INSIGHTS),
    "monitor_reporting_interval": _refused(_NO_INSIGHTS),
    "client_id": Setting(_is(UUID), "a uuid.UUID", startup="CLIENT_ID"),
    "cloud": _refused(
        "secure connect bundles are not supported: pass contact_points, auth_provider and "
        "tls=TlsOptions(...) with the bundle's files, and an endpoint_factory for an SNI proxy"
    ),
    # Whoever encrypts columns checks it; the context's class is looked at where TLS is set up.
    "column_encryption_policy": Setting(lambda value: True, "a ColumnEncryptionPolicy"),
    "ssl_context": Setting(_has("wrap_bio"), "an ssl.SSLContext"),
}
IDLE_HEARTBEAT_INTERVAL = 30.0
"""What ``idle_heartbeat_interval`` is unless given; whether it was given shows by identity."""


class Settings(dict[str, Any]):
    """The settings of the driver's cluster, whose ``repr`` shows only the names: values may be secret."""

    def __repr__(self) -> str:
        return f"<Settings {', '.join(self)}>"


def given(settings: Mapping[str, Any]) -> Settings:
    """Return the settings that were given, without those that are ``None`` for the driver's default."""
    return Settings(
        (name, value)
        for name, value in settings.items()
        if value is not None or (name in SETTINGS and SETTINGS[name].none_is_meant)
    )


def check(settings: Mapping[str, Any]) -> None:
    """Refuse settings that are unknown, without effect, or of the wrong type.

    :raises ~async_cassandra.exceptions.ConfigurationError: naming the setting
    """
    unknown = sorted(settings.keys() - DRIVER_SETTINGS)
    if unknown:
        raise ConfigurationError(f"cassandra.cluster.Cluster has no setting {', '.join(unknown)}")
    said = given(settings)
    for name, value in said.items():
        check_one(name, value)
    _check_tls(said.get("ssl_options") or {}, "ssl_context" in said)


def check_one(name: str, value: Any) -> None:
    """Refuse a value that one setting cannot have.

    :raises ~async_cassandra.exceptions.ConfigurationError: naming the setting
    """
    setting = SETTINGS.get(name)
    if setting is None:
        raise ConfigurationError(
            f"{name} cannot be set: the driver has it, and this library does not know it yet"
        )
    reason = setting.refused or (setting.refused_if_on if value is True else "")
    if reason:
        raise ConfigurationError(f"{name} cannot be set: {reason}")
    if name == "contact_points":
        _check_contact_points(value)
    if value is None and setting.none_is_meant:
        return
    if not setting.fits(value):
        raise ConfigurationError(f"{name} takes {setting.words}; got {shown(value)}")
    if name == "execution_profiles":
        for key, profile in value.items():
            label = f"execution profile {key!r}" if isinstance(key, str) else "an execution profile"
            check_profile(profile, label)


def startup_names(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the options of STARTUP that repeat settings."""
    return {
        SETTINGS[name].startup: str(value)
        for name, value in settings.items()
        if value and name in SETTINGS and SETTINGS[name].startup
    }


def _check_contact_points(points: Any) -> None:
    """Refuse what is not a name or address: URLs hold passwords, and names get into logs."""
    if isinstance(points, str | bytes | Mapping):
        raise ConfigurationError(
            f"contact_points takes a list of names or addresses, not a {type(points).__name__}"
        )
    if not isinstance(points, Collection):
        return
    for index, point in enumerate(points):
        name = point[0] if isinstance(point, tuple) and point else point
        if not isinstance(name, str | EndPoint):
            raise ConfigurationError(
                f"contact_points[{index}] takes a name or an address, not a {type(point).__name__}"
            )
        if isinstance(name, str) and not _is_host(name):
            raise ConfigurationError(
                f"contact_points[{index}] is neither a name nor an address: it has characters that "
                "these do not have. Pass only the host; port, user and password are separate "
                "arguments (port, auth_provider)"
            )


def _is_host(name: str) -> bool:
    """Whether it may be a host's name or address; only IPv6 addresses have a colon."""
    if ":" in name:
        with contextlib.suppress(ValueError):
            ipaddress.IPv6Address(name)
            return True
        return False
    return _NO_NAME.search(name) is None


def _check_tls(options: Mapping[str, Any], has_context: bool) -> None:
    """Refuse options that connections would not use."""
    known = _OF_CONNECTIONS if has_context else _OF_CONNECTIONS | _OF_CONTEXTS
    # A key that is not even a name may be a secret in the wrong place.
    names = {key if str(key).isidentifier() else shown(key) for key in options.keys() - known}
    unused = ", ".join(sorted(map(str, names)))
    if unused and has_context:
        raise ConfigurationError(
            f"ssl_options and a TLS context contradict each other: set {unused} in the context"
        )
    if unused:
        raise ConfigurationError(
            f"ssl_options has no {unused}; it has {', '.join(sorted(known))}: use tls=TlsOptions(...)"
        )


def probing_of(settings: Mapping[str, Any]) -> Probing | None:
    """Return how the control connection is probed: no less often than idle connections, or never if they are not."""
    usual = Probing()
    interval: float = settings.get("idle_heartbeat_interval", usual.interval)
    if not interval:
        return None
    timeout = settings.get("idle_heartbeat_timeout")
    if timeout is None:
        timeout = settings.get("control_connection_timeout") or usual.timeout
    return Probing(min(interval, usual.interval), timeout)
