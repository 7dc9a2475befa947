from typing import Any

def __getattr__(name: str) -> Any: ...

class Metadata:
    keyspaces: dict[str, Any]
    def __getattr__(self, name: str) -> Any: ...
    def refresh(
        self,
        connection: Any,
        timeout: float | None,
        target_type: str | None = None,
        change_type: str | None = None,
        **kwargs: Any,
    ) -> None: ...
