"""Every compiled class, made and used in every wrong way: nothing may end the process.

usage: python -m tests.fuzz.class_survey [CLASS OR SAMPLE ...]

Each is tried in a process of its own; what ends one is printed with the last step that it took.
"""

import copy
import faulthandler
import functools
import importlib
import itertools
import operator
import os
import pickle
import signal
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from async_cassandra._library import LIBRARY
from tests.fuzz.class_samples import SAMPLES

# Calls have so many arguments at most, all of one kind.
MOST_ARGUMENTS = 6
CLASS_SECONDS = 60
# To call these says nothing of the class.
LEFT_OUT = frozenset({"__class__", "__subclasshook__", "__init_subclass__", "mro"})

OPERATIONS: tuple[Callable[[Any], object], ...] = (
    repr, str, hash, len, bool, iter, next, aiter, list, reversed, operator.index, float, bytes,
    memoryview, copy.copy, copy.deepcopy, pickle.dumps, dir, vars,
)  # fmt: skip
PAIRED: tuple[Callable[[Any, Any], object], ...] = (
    operator.eq, operator.lt, operator.add, operator.contains, operator.getitem, operator.delitem,
    isinstance,
)  # fmt: skip


type Step = Callable[[str], None]


def compiled_modules() -> Iterator[types.ModuleType]:
    yield from map(importlib.import_module, sorted(LIBRARY.modules))


def compiled_classes() -> list[type]:
    """Every class that a compiled module defines, by its name."""
    found = [
        member
        for module in compiled_modules()
        for member in vars(module).values()
        if isinstance(member, type) and member.__module__ == module.__name__
    ]
    return sorted(found, key=lambda kind: f"{kind.__module__}.{kind.__name__}")


def tried(action: Any, *arguments: Any) -> Any:
    """What came out; errors of any class are allowed here, the end of the process is not."""
    try:
        return action(*arguments)
    except BaseException as error:  # noqa: BLE001  any error is allowed
        return error


class Survey:
    """One class's trial.

    :param step: told of each step before it is taken
    """

    def __init__(self, kind: type, step: Step) -> None:
        self.kind = kind
        self.step = step

    def run(self) -> int:
        """Use every instance that can be had by calls; how many there were."""
        count = 0
        for ways in self.ways():
            for name, make in ways:
                self.step(f"make {name}")
                if isinstance(tried(make), self.kind):
                    count += 1
                    self.use(name, make)
                    break
        return count

    def kinds(self) -> Iterator[type]:
        yield self.kind
        unready: dict[str, Any] = {"__init__": lambda self, *args, **named: None}
        odd = {"_fields": ("a",) * 3, "_positions": {"a": 2**40, "b": -5}, "_column_names": 7}
        for members in ({}, {"__slots__": ()}, unready, odd):
            made = tried(lambda members=members: type("Odd", (self.kind,), dict(members)))
            if isinstance(made, type):
                yield made

    def ways(self) -> Iterator[Iterator[tuple[str, Callable[[], Any]]]]:
        for number, kind in enumerate(self.kinds()):
            for make in (kind.__new__, lambda kind, *arguments: kind(*arguments)):
                yield (
                    (
                        f"{number} {make.__name__} {tuple(map(kind_of, arguments))}",
                        functools.partial(make, kind, *arguments),
                    )
                    for arguments in [(), *argument_lists()]
                )

    def use(self, made_by: str, make: Callable[[], Any]) -> None:
        for name in sorted(set(dir(self.kind)) - LEFT_OUT):
            made = make()
            self.step(f"{made_by}: get {name}")
            member = tried(getattr, made, name)
            if callable(member):
                self.call(f"{made_by}: {name}", make, name)
            for value in (None, 7):
                self.step(f"{made_by}: set {name} {value!r}")
                tried(setattr, made, name, value)
                self.operate(f"{made_by}: after set {name}", made)
            made = make()
            self.step(f"{made_by}: del {name}")
            tried(delattr, made, name)
            self.operate(f"{made_by}: after del {name}", made)

    def call(self, shown: str, make: Callable[[], Any], name: str) -> None:
        made = make()
        member: Any = getattr(made, name, None)
        for arguments in [(), *argument_lists(), (made,)]:
            self.step(f"{shown}{tuple(map(kind_of, arguments))}")
            finish(tried(member, *arguments))
        self.operate(f"{shown}: after calls", made)

    def operate(self, shown: str, made: Any) -> None:
        for operation in OPERATIONS:
            self.step(f"{shown}: {operation.__name__}")
            finish(tried(operation, made))
        for paired, other in itertools.product(PAIRED, (None, -1, 2**40, slice(-9, 9, 2))):
            self.step(f"{shown}: {paired.__name__} {other!r}")
            finish(tried(paired, made, other))


def finish(made: Any) -> None:
    """Begin to wait for what can be awaited or iterated over, and give it up."""
    if isinstance(made, types.CoroutineType | types.AsyncGeneratorType):
        step = made if isinstance(made, types.CoroutineType) else anext(made)
        tried(step.send, None)
        tried(step.close)
    elif hasattr(made, "__next__"):
        tried(next, made)


def kind_of(argument: object) -> str:
    return type(argument).__name__


def filler() -> tuple[Any, ...]:
    return (None, 0, -1, b"", "", (), [], {}, object(), bytearray(9), lambda *_: None)


def argument_lists() -> Iterator[tuple[Any, ...]]:
    """Arguments that may pass a function's first look at them."""
    for count in range(1, MOST_ARGUMENTS + 1):
        for value in filler():
            yield (value,) * count


def apart(progress: str, attempt: Callable[[Step], object]) -> None:
    """Make an attempt in this process; its steps go to a file as they are taken."""
    faulthandler.disable()
    signal.alarm(CLASS_SECONDS)
    os.closerange(0, 3)
    for _ in range(3):
        os.open(os.devnull, os.O_RDWR)
    file = os.open(progress, os.O_WRONLY)

    def step(text: str) -> None:
        os.pwrite(file, text.encode()[:500].ljust(500), 0)

    # What an object has printed by itself says nothing.
    sys.unraisablehook = lambda *_: None
    sys.setrecursionlimit(400)
    attempt(step)


def outcome_of(name: str, attempt: Callable[[Step], object]) -> str | None:
    """What ended the process that made an attempt; ``None`` if nothing did."""
    with tempfile.NamedTemporaryFile() as progress:
        child = os.fork()
        if child == 0:
            outcome = 1
            try:
                apart(progress.name, attempt)
                outcome = 0
            finally:
                os._exit(outcome)
        _, status = os.waitpid(child, 0)
        last = Path(progress.name).read_bytes().decode().strip()
    if status == 0:
        return None
    return f"{name}: status {status} in {last}"


def main() -> int:
    wanted = sys.argv[1:]
    attempts: dict[str, Callable[[Step], object]] = {
        kind.__name__: lambda step, kind=kind: Survey(kind, step).run()
        for kind in compiled_classes()
    } | {
        name: lambda step, name=name, make=make: Survey(type(make()), step).use(name, make)  # type: ignore[misc]
        for name, make in SAMPLES.items()
    }
    chosen = {name: attempt for name, attempt in attempts.items() if not wanted or name in wanted}
    outcomes = [outcome_of(name, attempt) for name, attempt in chosen.items()]
    found = [outcome for outcome in outcomes if outcome is not None]
    print(f"{len(chosen)} attempts, {len(found)} end the process", *found, sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
