from typing import Any

def __getattr__(name: str) -> Any: ...

class Host:
    endpoint: Any
    host_id: Any
    is_up: bool | None
    release_version: str | None
    broadcast_rpc_address: str | None
    broadcast_rpc_port: int | None
    broadcast_address: str | None
    listen_address: str | None
    dse_version: str | None
    def __init__(
        self,
        endpoint: Any,
        conviction_policy_factory: Any,
        datacenter: str | None = None,
        rack: str | None = None,
        host_id: Any = None,
    ) -> None: ...
    @property
    def address(self) -> str: ...
    @property
    def datacenter(self) -> str | None: ...
    @property
    def rack(self) -> str | None: ...
    def set_location_info(self, datacenter: str | None, rack: str | None) -> None: ...
    def set_up(self) -> None: ...
    def set_down(self) -> None: ...
    def __getattr__(self, name: str) -> Any: ...
