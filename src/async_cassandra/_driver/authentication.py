"""Guards the application's authenticators, so that they leak no secret, and calls them outside the loop.

Whatever an authenticator raises may quote a password or a ticket, and its traceback holds them: so
nothing of it gets out but its class and the place.
"""

from collections.abc import Awaitable, Callable
from pathlib import PurePath
from typing import Any, Protocol

from cassandra.auth import Authenticator

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


class BridgedAuthenticator:
    """One connection's dialogue with the application's authenticator, whose steps may block.

    What it answers is bytes. Every step raises :class:`ProviderFailed` in place of whatever the
    authenticator raises.

    :param run: calls a function off the loop
    """

    def __init__(self, authenticator: Authenticator, run: Runner) -> None:
        self._authenticator = authenticator
        self._run = run
        self._answers: list[bytes] = []

    async def initial_response(self, server_authenticator: str) -> bytes:
        """:param server_authenticator: the class the server authenticates with, as it names it"""

        def initial_response() -> Any:
            self._authenticator.server_authenticator_class = server_authenticator
            return self._authenticator.initial_response()

        return await self._answer(initial_response)

    async def evaluate_challenge(self, challenge: bytes | None) -> bytes:
        return await self._answer(self._authenticator.evaluate_challenge, challenge)

    async def on_success(self, token: bytes | None) -> None:
        await self._run(guarded, self._authenticator.on_authentication_success, token)

    def without_secrets(self, text: str) -> str:
        """Return a server's words without what it was told: for a plain answer, the password."""
        for answer in self._answers:
            secret = answer.rpartition(b"\0")[2].decode(errors="replace")
            if len(secret) >= SHORTEST_SECRET:
                text = text.replace(secret, "…")
        return text

    async def _answer(self, step: Callable[..., Any], *args: Any) -> bytes:
        answer: bytes = await self._run(
            lambda: guarded(lambda: _as_bytes(step(*args)), step=_name(step))
        )
        self._answers.append(answer)
        return answer


class _Unsendable(Exception):
    """An answer that is neither bytes nor text; the message is this library's own."""


def guarded(function: Callable[..., Any], *args: Any, step: str = "") -> Any:
    """Call the application's code; its exception ends here, its context and traceback with it.

    :raises ProviderFailed: in place of whatever it raises
    """
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
