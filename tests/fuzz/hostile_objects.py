"""Objects that change what they are part of, whichever of their methods is called.

What they do is told by the bytes of an input, one after another: the same input does the same again.
"""

import datetime
import gc
import ipaddress
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import lru_cache
from typing import Any

from cassandra.util import Date, Duration, Time

from tests.fuzz.hostile_values import Interruption, Source

__all__ = ["Anything", "Buffer", "Point", "Sprung", "World", "acting", "hostile"]

MOST_SPRUNG = 400
MOST_NESTED = 3
ERRORS: tuple[type[BaseException], ...] = (
    TypeError, ValueError, OverflowError, LookupError, AttributeError, StopIteration, BufferError,
    RuntimeError, MemoryError, Interruption,
)  # fmt: skip


class Sprung(Exception):
    """A class of error that no code of the core knows."""


class World:
    """What a trap can get at.

    :ivar containers: lists, dicts, sets, bytearrays and memoryviews that are being written
    :ivar again: what writes or reads the same once more, from within
    """

    def __init__(self, actions: bytes) -> None:
        self.containers: list[Any] = []
        self.again: list[Callable[[], object]] = []
        self._actions = Source(actions)
        self._nested = 0
        self._count = 0

    def keep[T](self, container: T) -> T:
        self.containers.append(container)
        return container

    def spring(self) -> None:
        """Do what the next bytes say."""
        self._count += 1
        if self._nested == MOST_NESTED or self._count > MOST_SPRUNG:
            return
        self._nested += 1
        try:
            ACTIONS[self._actions.byte() % len(ACTIONS)](self)
        finally:
            self._nested -= 1

    def one(self) -> Any:
        if not self.containers:
            return []
        return self.containers[self._actions.byte() % len(self.containers)]

    def clear(self) -> None:
        with suppress(BufferError, RuntimeError):
            empty(self.one())

    def clear_all(self) -> None:
        for container in list(self.containers):
            with suppress(BufferError, RuntimeError):
                empty(container)
        gc.collect(0)

    def grow(self) -> None:
        with suppress(BufferError, RuntimeError):
            enlarge(self.one())

    def exchange(self) -> None:
        """Other items, as many as before."""
        with suppress(BufferError, RuntimeError):
            replace_items(self.one())

    def enter(self) -> None:
        if self.again:
            self.again[self._actions.byte() % len(self.again)]()

    def fail(self) -> None:
        chosen = self._actions.byte() % (len(ERRORS) + 1)
        raise Sprung if chosen == len(ERRORS) else ERRORS[chosen]("sprung")


ACTIONS: tuple[Callable[[World], None], ...] = (
    lambda _: None, World.clear, World.clear_all, World.grow, World.exchange, World.enter, World.fail,
)  # fmt: skip

_world: World | None = None


@contextmanager
def acting(world: World) -> Iterator[None]:
    """Let traps act in this world; outside of it they do nothing."""
    global _world
    _world = world
    try:
        yield
    finally:
        _world = None


def spring() -> None:
    if _world is not None:
        _world.spring()


def empty(container: Any) -> None:
    if isinstance(container, memoryview):
        container.release()
    else:
        container.clear()


def enlarge(container: Any) -> None:
    if isinstance(container, dict):
        container.update(dict.fromkeys(range(40), b""))
    elif isinstance(container, set):
        container.update(range(40))
    elif not isinstance(container, memoryview):
        container.extend(bytes(40))


def replace_items(container: Any) -> None:
    if isinstance(container, dict):
        pairs = list(container.items())
        container.clear()
        container.update({(key, 1): value for key, value in pairs})
    elif not isinstance(container, set | memoryview):
        container[:] = [7] * len(container)


def look_around() -> None:
    """Look into every container that the collector tells of, as tools that measure memory do."""
    for found in gc.get_objects(0):
        if isinstance(found, list | tuple) and type(found).__iter__ in (
            list.__iter__,
            tuple.__iter__,
        ):
            [id(item) for item in found]


# Not to be wrapped: making the object, and asking for its methods.
_LEFT = frozenset(
    (  # noqa: SIM905  a list of them is no easier to read
        "__new__ __init__ __class__ __getattribute__ __setattr__ __delattr__ __init_subclass__ "
        "__subclasshook__ __del__ __dir__ __reduce__ __reduce_ex__ __getstate__ __setstate__ "
        "__sizeof__ __class_getitem__ __slots__ __dict__ __weakref__ __doc__ __module__ __buffer__ "
        "__release_buffer__"
    ).split()
)


def _wrapped(natural: Any) -> Any:
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        spring()
        return natural(self, *arguments, **named)

    return method


def _watched(natural: Any) -> Any:
    def read(self: Any) -> Any:
        spring()
        return natural.__get__(self)

    return property(read)


@lru_cache(maxsize=64)
def hostile(base: type) -> type:
    """A subclass each of whose methods and attributes is a trap before it does what the base's does."""
    members: dict[str, Any] = {}
    for name in set(dir(base)) - _LEFT:
        natural = getattr(base, name)
        if name in getattr(base, "__slots__", ()):
            continue
        if callable(natural) and not isinstance(vars(base).get(name), classmethod | staticmethod):
            members[name] = _wrapped(natural)
        elif hasattr(natural, "__get__") and not callable(natural):
            members[name] = _watched(natural)
    return type(f"Hostile{base.__name__}", (base,), members)


BASES: tuple[type, ...] = (
    int, float, str, bytes, bytearray, list, tuple, dict, set, frozenset, datetime.datetime,
    datetime.date, datetime.time, datetime.timedelta, Decimal, uuid.UUID, ipaddress.IPv4Address, Date,
    Time, Duration,
)  # fmt: skip


class Zone(datetime.tzinfo):
    def utcoffset(self, _: Any) -> datetime.timedelta:
        spring()
        return datetime.timedelta(hours=1)

    def dst(self, _: Any) -> None:
        return None

    def tzname(self, _: Any) -> str:
        return "Zone"


class Anything:
    """Has every method that may be asked for; gives what it was made with."""

    def __init__(self, natural: Any) -> None:
        object.__setattr__(self, "natural", natural)

    def __getattribute__(self, name: str) -> Any:
        spring()
        natural = object.__getattribute__(self, "natural")
        return natural if name == "natural" else getattr(natural, name)

    def __index__(self) -> int:
        return int(self.natural)

    def __float__(self) -> float:
        return float(self.natural)

    def __len__(self) -> int:
        return len(self.natural)

    def __iter__(self) -> Any:
        for item in self.natural:
            spring()
            yield item

    def __getitem__(self, key: Any) -> Any:
        return self.natural[key]

    def __bytes__(self) -> bytes:
        return bytes(self.natural)

    def __eq__(self, other: object) -> bool:
        return bool(self.natural == other)

    def __hash__(self) -> int:
        return hash(self.natural)

    def __str__(self) -> str:
        return str(self.natural)


class Buffer:
    """Gives a buffer, and is a trap when it is taken and when it is given back."""

    def __init__(self, exporter: Any) -> None:
        self.exporter = exporter

    def __buffer__(self, _: int) -> memoryview:
        spring()
        return memoryview(self.exporter)

    def __release_buffer__(self, view: memoryview) -> None:
        view.release()
        with suppress(BaseException):
            spring()

    def __len__(self) -> int:
        return len(self.exporter)

    def __iter__(self) -> Any:
        return iter(self.exporter)


class Point:
    """A registered class of a user-defined type: a trap to make, to compare and to sort."""

    def __init__(self, **fields: Any) -> None:
        look_around()
        spring()
        self.fields = tuple(fields.values())

    def __eq__(self, other: object) -> bool:
        spring()
        return isinstance(other, Point) and self.fields == other.fields

    def __lt__(self, other: "Point") -> bool:
        spring()
        return repr(self.fields) < repr(other.fields)

    def __hash__(self) -> int:
        spring()
        return hash(repr(self.fields))
