"""What does it cost a request to be observed?

Tells an observer what one request without incidents tells it: started, sent, finished. Prints
nanoseconds for each request, the best of several repetitions. The calls come from Python here, in
the core they come from compiled code: the cost in use is below the figure.

    python benchmarks/micro_observers.py [--seconds 0.2]
"""

import argparse
import asyncio
import timeit
from collections.abc import Callable

from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._request.call import Call
from async_cassandra._request.executor import Executor
from async_cassandra._request.request import Request
from async_cassandra._request.waiting import TimerQueue
from async_cassandra._watch.observer import Observer, Observers
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.requests import Query
from async_cassandra._wire.responses import RowPlans
from async_cassandra.metrics import InMemoryMetricsCollector

REPETITIONS = 7


def told(observer: Observer, request: Request) -> Callable[[], None]:
    """What one request tells."""

    def tell() -> None:
        observer.on_started(request)
        observer.on_sent(request, "127.0.0.1:9042", False)
        observer.on_finished(request, None, 0.0005)

    return tell


def nanoseconds(call: Callable[[], None], seconds: float) -> float:
    timer = timeit.Timer(call)
    count = max(1, int(1000 * seconds / max(timer.timeit(1000), 1e-9)))
    return min(timer.repeat(REPETITIONS, count)) / count * 1e9


async def main(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    plans = RowPlans(CodecRegistry(PYTHON_TYPES, {}))
    executor = Executor(loop, TimerQueue(loop), plans)
    request = Request(executor, Query("SELECT * FROM t WHERE k = 1"), Call())
    nobody = nanoseconds(told(Observer(), request), seconds)
    print(f"{'the calls alone':30} {nobody:8.0f} ns")
    stats = InMemoryMetricsCollector().request_stats
    for name, observer in (
        ("in-memory metrics, counters", stats),
        ("in-memory metrics, as wired", Observers([stats])),
    ):
        taken = nanoseconds(told(observer, request), seconds)
        print(f"{name:30} {taken:8.0f} ns, {taken - nobody:.0f} ns of its own")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.2)
    asyncio.run(main(parser.parse_args().seconds))
