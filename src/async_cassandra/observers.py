"""Observes the requests and connections of sessions: slow queries in the log, or an observer of your own.

``AsyncCluster(observers=[SlowQueryLog(0.5)])``. :mod:`async_cassandra.contrib.opentelemetry` has one for traces.
"""

import logging
import random
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cassandra import ConsistencyLevel

from async_cassandra._collecting import sanitised
from async_cassandra._request.request import Request
from async_cassandra._watch.observer import Observer
from async_cassandra._wire.requests import Batch, Execute, Prepare, Query, Statement
from async_cassandra.exceptions import shown

__all__ = ["Observer", "Request", "RequestFacts", "SlowQueryLog", "facts_of"]

LONGEST_TEXT = 2000
LONGEST_VALUE = 100

# The table that a statement is about; what follows is a quoted or plain name, maybe with a keyspace.
_NAME = r'(?:"(?:[^"]|"")*"|\w+)'
_TARGET = re.compile(
    rf"\b(?:FROM|INTO|UPDATE|TABLE(?:\s+IF\s+(?:NOT\s+)?EXISTS)?|TRUNCATE)\s+"
    rf"(?!TABLE\b)({_NAME}(?:\s*\.\s*{_NAME})?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What a request asks for, without any value.

    :ivar text: its CQL without literals; for a batch, its statements'
    :ivar operation: the CQL's first word, or ``PREPARE``; for a batch ``BATCH``, and the word that all
        its statements begin with
    :ivar target: the table, as the CQL spells it; for a batch, the one that all its statements name
    :ivar consistency: its name; ``None`` for a PREPARE
    :ivar page_size: rows; ``None`` if there are no pages
    :ivar batch_size: statements in a batch, else ``None``
    """

    text: str
    operation: str
    target: str | None
    keyspace: str | None
    consistency: str | None
    page_size: int | None
    idempotent: bool
    is_prepared: bool
    batch_size: int | None

    @property
    def summary(self) -> str:
        """Operation and table: few different ones, however many queries there are."""
        if self.target is None or self.operation == "BATCH":
            return self.operation.partition(" ")[0]
        return f"{self.operation} {self.target}"


def facts_of(request: Request) -> RequestFacts:
    """Describe what a request asks for."""
    message = request.message
    batch_size = None
    if isinstance(message, Batch):
        texts = _batched_texts(request, message)
        text, batch_size = "; ".join(texts), len(message.entries)
        operation, target = _batch_operation_of(texts, batch_size)
    else:
        text = _text_of(request)
        operation, target = _operation_of(text)
    if isinstance(message, Prepare):
        operation = "PREPARE"
    keyspace = request.call.routing_keyspace or request.executor.keyspace
    is_paged = isinstance(message, Query) and message.page_size > 0
    return RequestFacts(
        text=text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…",
        operation=operation,
        target=target,
        keyspace=keyspace,
        consistency=ConsistencyLevel.value_to_name.get(message.consistency)
        if isinstance(message, Statement)
        else None,
        page_size=message.page_size if is_paged and isinstance(message, Query) else None,
        idempotent=request.call.idempotent,
        is_prepared=request.call.prepared is not None,
        batch_size=batch_size,
    )


def _text_of(request: Request) -> str:
    message = request.message
    if request.call.prepared is not None:
        return sanitised(request.call.prepared.query)
    if isinstance(message, Query | Prepare):
        return sanitised(message.query or "")
    return ""


def _batched_texts(request: Request, message: Batch) -> list[str]:
    """Return the batch's distinct statements, in order."""
    texts: dict[str, None] = {}
    for query, _ in message.entries:
        if isinstance(query, str):
            texts[sanitised(query)] = None
        elif query in request.call.batched:
            texts[sanitised(request.call.batched[query].query)] = None
    return list(texts)


@lru_cache(maxsize=1024)
def _operation_of(text: str) -> tuple[str, str | None]:
    first = re.match(r"\W*(\w+)", text)
    found = _TARGET.search(text)
    operation = first[1].upper() if first and len(first[1]) <= 20 else "QUERY"
    return operation, None if found is None else re.sub(r"\s", "", found[1])


def _batch_operation_of(texts: list[str], size: int) -> tuple[str, str | None]:
    """Return what a batch's statements have in common; a batch of one is not a batch."""
    found = [_operation_of(text) for text in texts]
    operations = {operation for operation, _ in found}
    targets = {target for _, target in found}
    words = [] if size == 1 else ["BATCH"]
    if len(operations) == 1:
        words += operations
    return " ".join(words), targets.pop() if len(targets) == 1 else None


def _values_of(request: Request) -> tuple[Any, ...]:
    """Return the values of an EXECUTE, decoded from what is sent."""
    message, prepared = request.message, request.call.prepared
    if prepared is None or not isinstance(message, Execute) or not message.values:
        return ()
    registry = request.executor.plans.registry
    data, at, values = message.values, 2, []
    for column in prepared.bind_columns:
        size = int.from_bytes(data[at : at + 4], signed=True)
        at += 4
        body = data[at : at + max(size, 0)]
        at += len(body)
        values.append(None if size < 0 else registry.codec(column.type).decode(body))
    return tuple(values)


class SlowQueryLog(Observer):
    """Logs slow requests to the logger ``async_cassandra.slow_queries``.

    :param threshold: seconds from which a request is slow, 0 or more; 0 logs every request
    :param sample: the share of slow requests that is logged, above 0 up to 1
    :param log_parameters: log values too, shortened; the CQL is then logged with its literals
    :param level: the level of the log records
    """

    def __init__(
        self,
        threshold: float = 0.5,
        *,
        sample: float = 1.0,
        log_parameters: bool = False,
        level: int = logging.WARNING,
    ) -> None:
        if not threshold >= 0:
            raise ValueError(f"threshold takes seconds, 0 or more, not {shown(threshold)}")
        if not 0 < sample <= 1:
            raise ValueError(f"sample takes a share above 0 up to 1, not {shown(sample)}")
        self.threshold = threshold
        self.sample = sample
        self.log_parameters = log_parameters
        self.level = level
        self.logger: logging.Logger = logging.getLogger("async_cassandra.slow_queries")

    def on_finished(self, request: Request, error: BaseException | None, seconds: float) -> None:
        if seconds < self.threshold or not self.logger.isEnabledFor(self.level):
            return
        if self.sample < 1 and random.random() >= self.sample:
            return
        facts = facts_of(request)
        coordinator = request.coordinator
        self.logger.log(
            self.level,
            "%s took %.1f ms (%s, %d attempts, %d retries, %.1f ms queued, %d rows in %d pages, "
            "consistency %s, keyspace %s): %s%s",
            facts.summary,
            seconds * 1000,
            _ending(error, None if coordinator is None else coordinator.endpoint),
            request.attempts,
            request.retries,
            request.queued_time() * 1000,
            request.row_count,
            request.pages,
            facts.consistency,
            facts.keyspace,
            self._text(request, facts),
            self._parameters(request),
        )

    def _text(self, request: Request, facts: RequestFacts) -> str:
        message = request.message
        if not self.log_parameters or not isinstance(message, Query) or request.call.prepared:
            return facts.text
        return (message.query or "")[:LONGEST_TEXT]

    def _parameters(self, request: Request) -> str:
        if not self.log_parameters or request.call.prepared is None:
            return ""
        shown = (repr(value) for value in _values_of(request))
        short = (
            text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…" for text in shown
        )
        return f" with ({', '.join(short)})"


def _ending(error: BaseException | None, endpoint: str | None) -> str:
    if error is None:
        return f"answered by {endpoint}"
    return f"failed with {type(error).__name__}"
