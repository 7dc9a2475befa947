"""Guards the application's authenticators, so that they leak no secret, and calls them outside the loop.

Whatever an authenticator raises may quote a password or a ticket, and its traceback holds them: so
only its class and its place get out. This applies to the driver's control connection
and to ours alike, since both are given the guarded one.
"""

from collections.abc import Awaitable, Callable
from pathlib import PurePath
from typing import Any, Protocol

from cassandra.auth import Authenticator, AuthProvider

from async_cassandra.exceptions import SURROGATES

SHORTEST_SECRET = 3
_NO_TEXT = (
    "cannot be encoded as UTF-8: user name or password has bytes that are not text, as os.environ "
    "gives those of another encoding"
)


class Runner(Protocol):
    def __call__[T](self, function: Callable[..., T], *args: Any) -> Awaitable[T]: ...


class ProviderFailed(Exception):
    """A step of the application's ``auth_provider`` failed."""


class GuardedProvider(AuthProvider):
    """The application's provider, with guarded authenticators."""

    def __init__(self, provider: AuthProvider) -> None:
        self._provider = provider

    def new_authenticator(self, host: str) -> "GuardedAuthenticator":
        """:raises ProviderFailed: in place of whatever the provider raises"""
        return GuardedAuthenticator(_guarded(self._provider.new_authenticator, host))


class GuardedAuthenticator(Authenticator):
    """One connection's authenticator; it returns bytes, and what it raises reveals nothing.

    Every step raises :class:`ProviderFailed` in place of whatever the authenticator raises.
    """

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator
        self._answers: list[bytes] = []

    @property
    def server_authenticator_class(self) -> str | None:
        """The class that the server authenticates with, as it names it."""
        return self._authenticator.server_authenticator_class

    @server_authenticator_class.setter
    def server_authenticator_class(self, name: str | None) -> None:
        self._authenticator.server_authenticator_class = name

    def initial_response(self) -> bytes:
        return self._answer(self._authenticator.initial_response)

    def evaluate_challenge(self, challenge: bytes | None) -> bytes:
        return self._answer(self._authenticator.evaluate_challenge, challenge)

    def on_authentication_success(self, token: bytes | None) -> None:
        _guarded(self._authenticator.on_authentication_success, token)

    def without_secrets(self, text: str) -> str:
        """Return a server's words without what it was told: for a plain answer, the password."""
        for answer in self._answers:
            secret = answer.rpartition(b"\0")[2].decode(errors="replace")
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "…")
        return text

    def _answer(self, step: Callable[..., Any], *args: Any) -> bytes:
        self._answers.append(_guarded(lambda: _as_bytes(step(*args)), step=_name(step)))
        return self._answers[-1]


class BridgedAuthenticator:
    """One connection's dialogue with an authenticator, whose steps may block.

    :param run: calls a function outside the loop
    """

    def __init__(self, authenticator: GuardedAuthenticator, run: Runner) -> None:
        self._authenticator = authenticator
        self._run = run

    async def initial_response(self, server_authenticator: str) -> bytes:
        """:param server_authenticator: the class the server authenticates with, as it names it"""
        self._authenticator.server_authenticator_class = server_authenticator
        return await self._run(self._authenticator.initial_response)

    async def evaluate_challenge(self, challenge: bytes | None) -> bytes:
        return await self._run(self._authenticator.evaluate_challenge, challenge)

    async def on_success(self, token: bytes | None) -> None:
        await self._run(self._authenticator.on_authentication_success, token)

    def without_secrets(self, text: str) -> str:
        """Return a server's words without what it was told."""
        return self._authenticator.without_secrets(text)


class _Unsendable(Exception):
    """An answer that is neither bytes nor text; the message is this library's own."""


def _guarded(function: Callable[..., Any], *args: Any, step: str = "") -> Any:
    """Call the application's code; its exception ends here, with its context and traceback."""
    try:
        return function(*args)
    except _Unsendable as error:
        failure = f"the answer of {step} {error}"
    except UnicodeEncodeError:
        failure = f"the answer of {step or _name(function)} {_NO_TEXT}"
    except Exception as error:  # noqa: BLE001  (the edge to the application's code)
        failure = (
            f"{step or _name(function)} raised {type(error).__name__}{_place(error)}; "
            "its message is left out, since it may quote a secret"
        )
    raise ProviderFailed(f"the auth_provider failed: {failure}")


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _place(error: BaseException) -> str:
    """Return where the application's code raised it."""
    entry, place = error.__traceback__, ""
    while entry is not None:
        name = entry.tb_frame.f_code.co_filename
        if name != __file__:
            place = f" ({PurePath(name).name}, line {entry.tb_lineno})"
        entry = entry.tb_next
    return place


def _as_bytes(response: object) -> bytes:
    """Convert as the driver does: nothing is an empty message, text is UTF-8."""
    if response is None:
        return b""
    if isinstance(response, bytes | bytearray | memoryview):
        return bytes(response)
    if not isinstance(response, str):
        raise _Unsendable(f"is a {type(response).__name__}, neither bytes nor text")
    if SURROGATES.search(response) is not None:
        raise _Unsendable(_NO_TEXT)
    return response.encode()
