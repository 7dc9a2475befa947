"""The process in which :mod:`.hops` watches a request: prints what was called, as JSON.

usage: python -m tests.support.hops_client LIBRARY HOST PORT
"""

import asyncio
import gc
import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType

SOURCE = Path("src/async_cassandra").resolve()
QUERY = "SELECT name FROM ks.users WHERE id = ?"
WARM_UP = 100
# A heartbeat and the like may come between: the shortest of so many requests is without them.
WATCHED = 5

# A function's file within the package, its first line, and whether another file called it.
type Call = tuple[str, int, bool]


def use_library(file: str) -> None:
    """Have the package find its compiled modules in the traced library."""
    name = "async_cassandra._compiled"
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


class Watch:
    """Keeps the functions of this package that are called inside its ``with`` block.

    An inline function of a ``.pxd`` is a part of the file that calls it, into which it is compiled.
    """

    def __init__(self) -> None:
        self._stack: list[tuple[CodeType, str]] = []
        self._called: dict[CodeType, bool] = {}
        events = sys.monitoring.events
        sys.monitoring.use_tool_id(sys.monitoring.PROFILER_ID, "hops")
        # Not PY_UNWIND, which fails where Cython raises StopIteration: what raised leaves the stack
        # when one of its callers returns.
        for event in (events.PY_START, events.PY_RESUME):
            sys.monitoring.register_callback(sys.monitoring.PROFILER_ID, event, self._on_start)
        for event in (events.PY_RETURN, events.PY_YIELD):
            sys.monitoring.register_callback(sys.monitoring.PROFILER_ID, event, self._on_end)
        self._events = events.PY_START | events.PY_RESUME | events.PY_RETURN | events.PY_YIELD

    def _on_start(self, code: CodeType, _: int) -> None:
        caller = self._stack[-1][1] if self._stack else ""
        is_inline = code.co_filename.endswith(".pxd")
        file = caller if is_inline else code.co_filename
        self._stack.append((code, file))
        self._called[code] = self._called.get(code, False) or file != caller

    def _on_end(self, code: CodeType, _: int, value: object) -> None:
        while self._stack and self._stack.pop()[0] is not code:
            pass

    def __enter__(self) -> None:
        self._stack.clear()
        self._called.clear()
        sys.monitoring.set_events(sys.monitoring.PROFILER_ID, self._events)

    def __exit__(self, *error: object) -> None:
        sys.monitoring.set_events(sys.monitoring.PROFILER_ID, 0)

    def calls(self) -> list[Call]:
        """Each function once, in the order in which they were first called."""
        found: dict[tuple[str, int], bool] = {}
        for code, is_hop in self._called.items():
            file = Path(code.co_filename).resolve()
            if file.is_relative_to(SOURCE):
                key = (file.relative_to(SOURCE).as_posix(), code.co_firstlineno)
                found[key] = found.get(key, False) or is_hop
        return [(file, line, is_hop) for (file, line), is_hop in found.items()]


async def watch_one(host: str, port: int) -> list[Call]:
    """Return what a prepared read of one row calls, from ``execute`` until the row is there."""
    from async_cassandra import AsyncCluster

    watch = Watch()
    requests: list[list[Call]] = []
    async with AsyncCluster([host], port=port) as cluster, cluster.connect() as session:
        prepared = await session.prepare(QUERY)
        for _ in range(WARM_UP):
            (await session.execute(prepared, [7])).one()
        gc.disable()
        for _ in range(WATCHED):
            # The callback of the loop that went on here still has the last request.
            await asyncio.sleep(0)
            with watch:
                result = await session.execute(prepared, [7])
                row = result.one()
            assert row == ("Ada",)
            del result, row
            requests.append(watch.calls())
    return min(requests, key=len)


def main() -> None:
    library, host, port = sys.argv[1:]
    use_library(library)
    print(json.dumps(asyncio.run(watch_one(host, int(port)))))


if __name__ == "__main__":
    main()
