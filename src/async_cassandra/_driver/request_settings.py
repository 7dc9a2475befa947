"""Checks of what statements, execution profiles and calls ask for; anything else is refused by name.

Requests come here only on their slow paths: what is plainly right is used without a check.
"""

from collections.abc import Mapping
from math import inf
from typing import Any

from cassandra import ConsistencyLevel

from async_cassandra.exceptions import SURROGATES, ConfigurationError, shown

# The protocol's [string], in bytes of UTF-8.
LONGEST_STRING = 65535
MOST_ROWS = 2**31 - 1


def is_number(value: object, low: float, high: float, *, whole: bool = False) -> bool:
    """Whether a value is a number from ``low`` to ``high``; not a bool, and not a fraction if ``whole``."""
    kinds = int if whole else int | float
    if not isinstance(value, kinds) or isinstance(value, bool):
        return False
    # Nor may it be an int that no float can hold.
    return low <= value <= high and (isinstance(value, float) or value.bit_length() < 1024)


def checked_level(level: Any, name: str = "consistency_level") -> int:
    """Return a consistency level as its number.

    :raises ~async_cassandra.exceptions.ConfigurationError: naming the setting if it is not one
    """
    if is_number(level, 0, 0xFFFF, whole=True) and level in ConsistencyLevel.value_to_name:
        return int(level)
    known = isinstance(level, str) and level.upper() in ConsistencyLevel.name_to_value
    example = level.upper() if known else "LOCAL_QUORUM"
    raise ConfigurationError(
        f"{name} takes one of cassandra.ConsistencyLevel, such as ConsistencyLevel.{example}, "
        f"not {shown(level)}"
    )


def checked_serial_level(level: Any, name: str = "serial_consistency_level") -> int:
    """Return a serial consistency level as its number.

    :raises ~async_cassandra.exceptions.ConfigurationError: naming the setting if it is not one
    """
    if is_number(level, 0, 0xFFFF, whole=True) and ConsistencyLevel.is_serial(level):
        return int(level)
    raise ConfigurationError(
        f"{name} takes ConsistencyLevel.SERIAL or ConsistencyLevel.LOCAL_SERIAL, not {shown(level)}"
    )


def checked_fetch_size(fetch_size: Any, name: str = "fetch_size") -> int:
    """Return rows per page, 0 for all of them in one.

    :raises ~async_cassandra.exceptions.ConfigurationError: naming the setting if it is not one
    """
    if fetch_size is None:
        return 0
    if is_number(fetch_size, 0, MOST_ROWS, whole=True):
        return int(fetch_size)
    raise ConfigurationError(
        f"{name} takes 1 to {MOST_ROWS} rows, or None for no pages, not {shown(fetch_size)}"
    )


def checked_timeout(timeout: Any, name: str = "timeout") -> float:
    """Return seconds, ``math.inf`` for no limit.

    :raises ~async_cassandra.exceptions.ConfigurationError: naming the setting if it is not one
    """
    if timeout is None:
        return inf
    if is_number(timeout, 0, inf) and timeout > 0:
        return float(timeout)
    raise ConfigurationError(
        f"{name} takes seconds above 0, None or math.inf, not {shown(timeout)}"
    )


def checked_payload(payload: Any) -> dict[str, bytes | None]:
    """Return a custom payload with its keys as text; bytes count as UTF-8, as the driver sends them.

    :raises ~async_cassandra.exceptions.ConfigurationError: if it is not one
    """
    if not isinstance(payload, Mapping):
        raise ConfigurationError(f"custom_payload takes a mapping, not {type(payload).__name__}")
    return {_payload_key(key): _payload_value(key, value) for key, value in payload.items()}


def _payload_key(key: Any) -> str:
    text = key
    if isinstance(key, bytes | bytearray):
        text = bytes(key).decode(errors="surrogateescape")
    if not isinstance(text, str):
        raise ConfigurationError(
            f"custom_payload takes str to bytes, not a key of {type(key).__name__}"
        )
    if SURROGATES.search(text) is not None:
        raise ConfigurationError("custom_payload: a key cannot be encoded as UTF-8")
    size = len(text.encode())
    if size > LONGEST_STRING:
        raise ConfigurationError(
            f"custom_payload: a key takes at most {LONGEST_STRING} bytes, not {size}"
        )
    return text


def _payload_value(key: Any, value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes | bytearray):
        return value if value is None else bytes(value)
    raise ConfigurationError(
        f"custom_payload takes str to bytes, not {type(key).__name__} to {type(value).__name__}"
    )


def checked_routing_key(key: Any) -> bytes:
    """Return an encoded partition key.

    :raises ~async_cassandra.exceptions.ConfigurationError: if it is not one
    """
    if isinstance(key, bytes | bytearray):
        return bytes(key)
    raise ConfigurationError(
        f"routing_key takes the encoded partition key as bytes, not {type(key).__name__}"
    )


def check_profile(profile: Any, name: str = "execution_profile") -> None:
    """Refuse an execution profile from which no request could be made.

    :raises ~async_cassandra.exceptions.ConfigurationError: naming the profile and its field
    """
    if hasattr(profile, "graph_options"):
        raise ConfigurationError(
            f"{name} is a profile for graphs, which only DataStax Enterprise has"
        )
    checked_level(profile.consistency_level, f"consistency_level of {name}")
    if profile.serial_consistency_level is not None:
        checked_serial_level(
            profile.serial_consistency_level, f"serial_consistency_level of {name}"
        )
    checked_timeout(profile.request_timeout, f"request_timeout of {name}")
    if not callable(profile.row_factory):
        raise ConfigurationError(
            f"row_factory of {name} takes a callable of column names and rows, "
            f"not {shown(profile.row_factory)}"
        )
    for field, method in _POLICIES.items():
        policy = getattr(profile, field)
        if policy is not None and (isinstance(policy, type) or not hasattr(policy, method)):
            raise ConfigurationError(f"{field} of {name} takes such a policy, not {shown(policy)}")
    if profile.continuous_paging_options is not None:
        raise ConfigurationError(
            f"continuous_paging_options of {name} are for DataStax Enterprise; Cassandra has no "
            "continuous paging: read with execute_stream(), which fetches pages ahead"
        )


# By field: the method by which such a policy is recognised.
_POLICIES = {
    "load_balancing_policy": "make_query_plan",
    "retry_policy": "on_read_timeout",
    "speculative_execution_policy": "new_plan",
}
