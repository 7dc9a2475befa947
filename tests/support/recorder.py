"""An observer that remembers."""

from __future__ import annotations

from async_cassandra._request.request import Request
from async_cassandra._watch.observer import Observer


class Recorder(Observer):
    """Keeps what it is told, as text."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.seconds: list[float] = []

    def on_started(self, request: Request) -> None:
        self.events.append("started")

    def on_queued(self, request: Request) -> None:
        self.events.append("queued")

    def on_sent(self, request: Request, endpoint: str, is_speculative: bool) -> None:
        self.events.append(f"sent {endpoint}{' speculative' if is_speculative else ''}")

    def on_attempt_failed(self, request: Request, endpoint: str, error: object) -> None:
        self.events.append(f"failed {endpoint} {type(error).__name__}")

    def on_retried(self, request: Request, error: BaseException, delay: float) -> None:
        self.events.append(f"retried {type(error).__name__}")

    def on_page(self, request: Request, before: Request) -> None:
        self.events.append(f"page {before.pages}")

    def on_finished(self, request: Request, error: BaseException | None, seconds: float) -> None:
        self.events.append("finished" if error is None else f"finished {type(error).__name__}")
        self.seconds.append(seconds)

    def on_connection_opened(self, endpoint: str) -> None:
        self.events.append(f"opened {endpoint}")

    def on_connection_lost(self, endpoint: str, error: object) -> None:
        self.events.append(f"lost {endpoint} {type(error).__name__}")

    def on_node_up(self, endpoint: str) -> None:
        self.events.append(f"up {endpoint}")

    def on_node_down(self, endpoint: str) -> None:
        self.events.append(f"down {endpoint}")
