"""The driver's authenticators, one connection each, off the loop."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from cassandra.auth import Authenticator


class Runner(Protocol):
    def __call__[T](self, function: Callable[..., T], *args: Any) -> Awaitable[T]: ...


class BridgedAuthenticator:
    """One connection's dialogue with an authenticator, whose steps may block.

    :param run: calls a function off the loop
    """

    def __init__(self, authenticator: Authenticator, run: Runner) -> None:
        self._authenticator = authenticator
        self._run = run

    async def initial_response(self, server_authenticator: str) -> bytes:
        """:param server_authenticator: the class the server authenticates with, as it names it"""
        self._authenticator.server_authenticator_class = server_authenticator
        return _as_bytes(await self._run(self._authenticator.initial_response))

    async def evaluate_challenge(self, challenge: bytes | None) -> bytes:
        return _as_bytes(await self._run(self._authenticator.evaluate_challenge, challenge))

    async def on_success(self, token: bytes | None) -> None:
        await self._run(self._authenticator.on_authentication_success, token)


def _as_bytes(response: str | bytes | None) -> bytes:
    """As the driver does: nothing is an empty message, text is UTF-8."""
    return response.encode() if isinstance(response, str) else response or b""
