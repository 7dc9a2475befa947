"""Speculative execution after a percentile, in the driver's ``SpeculativeExecutionPolicy`` interface."""

import math
from typing import Any

from cassandra.policies import SpeculativeExecutionPolicy

from async_cassandra._watch.latencies import LatencyTracker, PercentilePlan
from async_cassandra.exceptions import ConfigurationError, shown

__all__ = ["PercentileSpeculativeExecutionPolicy"]


class PercentileSpeculativeExecutionPolicy(SpeculativeExecutionPolicy):
    """Asks another node when a request takes longer than all but a few did recently.

    It learns from the idempotent requests of the execution profiles that have it, and sends
    about ``100 - percentile`` in a hundred of them once more, however fast or slow the cluster is
    at the moment. It takes 6 KB, for each host if ``per_host``.

    Concurrency: it can serve any number of sessions, which then learn from each other.

    :param percentile: of recent latencies, above 0, below 100. To bound the 99th percentile, ask
        before it is reached: *The Tail at Scale* (Dean and Barroso, 2013) also uses the 95th
    :param max_executions: the most further nodes for one request, 1 or more
    :param per_host: compare with the latencies of the same host instead of all hosts, for when some
        are far away. A host that is always slow is then never late
    :param min_samples: latencies needed before the first speculation, 1 or more
    :param warm_up_delay: seconds after which another node is asked until then, 0 or more; ``None``
        for never
    :param window: seconds that a latency counts, if there are ``min_samples`` younger ones, above 0
    :param min_delay: the shortest delay in seconds, 0 or more
    :param max_delay: the longest delay in seconds
    :raises ~async_cassandra.exceptions.ConfigurationError: if a value is out of its range
    """

    def __init__(
        self,
        percentile: float = 95.0,
        *,
        max_executions: int = 1,
        per_host: bool = False,
        min_samples: int = 100,
        warm_up_delay: float | None = None,
        window: float = 60.0,
        min_delay: float = 0.001,
        max_delay: float = math.inf,
    ) -> None:
        for name, value, fits, wanted in (
            ("percentile", percentile, 0 < percentile < 100, "a number above 0 and below 100"),
            ("max_executions", max_executions, max_executions >= 1, "1 or more"),
            ("min_samples", min_samples, min_samples >= 1, "1 or more"),
            ("warm_up_delay", warm_up_delay, (warm_up_delay or 0) >= 0, "seconds or None"),
            ("window", window, window > 0, "seconds above 0"),
            ("min_delay", min_delay, min_delay >= 0, "seconds, 0 or more"),
            ("max_delay", max_delay, max_delay >= min_delay, "seconds, min_delay or more"),
        ):
            if not fits:
                raise ConfigurationError(f"{name} takes {wanted}, not {shown(value)}")
        self.percentile = percentile
        self.max_executions = max_executions
        self._tracker = LatencyTracker(
            percentile / 100,
            per_host=per_host,
            min_samples=min_samples,
            window=window,
            min_delay=min_delay,
            max_delay=max_delay,
            warm_up_delay=-1.0 if warm_up_delay is None else warm_up_delay,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.percentile!r}, max_executions={self.max_executions})"

    # The driver's plan is an interface only; a compiled class has no base in Python.
    def new_plan(  # type: ignore[override]
        self, keyspace: str | None, statement: Any
    ) -> PercentilePlan:
        return PercentilePlan(self._tracker, self.max_executions)

    def delay(self, host: Any = None) -> float | None:
        """Return the seconds after which a request to ``host`` is late; ``None`` while too little is known.

        :param host: the driver's ``Host``; used only with ``per_host``
        """
        delay = self._tracker.delay(host)
        return delay if delay >= 0 else None
