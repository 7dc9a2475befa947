from collections.abc import Mapping
from typing import Any

from async_cassandra._request.prepared import PreparedQuery

class StatementOptions:
    retry_policy: Any
    consistency_level: int | None
    serial_consistency_level: int | None
    fetch_size: Any
    custom_payload: Mapping[str, bytes] | None
    is_idempotent: bool | None

class PreparedOptions(StatementOptions):
    prepared: PreparedQuery

class OwnMark: ...
