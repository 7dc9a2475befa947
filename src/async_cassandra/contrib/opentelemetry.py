"""Traces and metrics for OpenTelemetry, following its semantic conventions for Cassandra.

Needs the extra ``async-cassandra[opentelemetry]``, and an SDK set up by the application:
``AsyncCluster(observers=[OpenTelemetryObserver()])``.
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from async_cassandra.observers import Observer, Request, RequestFacts, facts_of

__all__ = ["OpenTelemetryObserver"]

NAME = "async_cassandra"
# What the convention advises for db.client.operation.duration.
BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)
ROW_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)

type Attributes = dict[str, str | int | bool]


class OpenTelemetryObserver(Observer):
    """Makes one client span for each request, a child of the span of the task that awaits it.

    The span's events show each attempt: ``cassandra.attempt``, ``cassandra.attempt.failed``,
    ``cassandra.retry``, ``cassandra.queued``, ``cassandra.page``. Metrics:
    ``db.client.operation.duration`` and ``db.client.response.returned_rows``.

    :param tracer_provider: ``None`` for the global one
    :param meter_provider: ``None`` for the global one
    :param query_text: whether spans have the CQL, without its literals
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        query_text: bool = True,
    ) -> None:
        self._tracer = trace.get_tracer(NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(NAME, meter_provider=meter_provider)
        self._duration = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=BOUNDS,
        )
        self._rows = meter.create_histogram(
            "db.client.response.returned_rows",
            unit="{row}",
            description="The actual number of records returned by the database operation.",
            explicit_bucket_boundaries_advisory=ROW_BOUNDS,
        )
        self._query_text = query_text
        self._spans: dict[Request, tuple[Span, RequestFacts]] = {}

    def on_started(self, request: Request) -> None:
        facts = facts_of(request)
        attributes = _common(facts)
        if self._query_text and facts.text:
            attributes["db.query.text"] = facts.text
        attributes |= _cassandra(facts)
        span = self._tracer.start_span(facts.summary, kind=SpanKind.CLIENT, attributes=attributes)
        self._spans[request] = (span, facts)

    def on_queued(self, request: Request) -> None:
        self._event(request, "cassandra.queued")

    def on_sent(self, request: Request, endpoint: str, is_speculative: bool) -> None:
        self._event(
            request,
            "cassandra.attempt",
            {**_node(endpoint, "server"), "cassandra.attempt.speculative": is_speculative},
        )

    def on_attempt_failed(self, request: Request, endpoint: str, error: Any) -> None:
        attributes = _node(endpoint, "server")
        if (code := getattr(error, "code", None)) is not None:
            attributes["db.response.status_code"] = str(code)
        else:
            attributes["error.type"] = type(error).__name__
        self._event(request, "cassandra.attempt.failed", attributes)

    def on_retried(self, request: Request, error: BaseException, delay: float) -> None:
        attributes = {"error.type": type(error).__name__, "cassandra.retry.delay": delay}
        self._event(request, "cassandra.retry", attributes)

    def on_page(self, request: Request, before: Request) -> None:
        found = self._spans.pop(before, None)
        if found is not None:
            self._spans[request] = found
            self._event(request, "cassandra.page", {"cassandra.page.number": before.pages})

    def on_finished(self, request: Request, error: BaseException | None, seconds: float) -> None:
        found = self._spans.pop(request, None)
        if found is None:
            return
        span, facts = found
        attributes = _common(facts)
        endpoint = _endpoint_of(request)
        attributes |= _outcome(request, error, endpoint)
        self._duration.record(seconds, attributes)
        if error is None and request.pages:
            self._rows.record(request.row_count, attributes)
        if span.is_recording():
            span.set_attributes(attributes | _answer(request, endpoint))
            if error is not None:
                # The server's message may quote literals.
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        span.end()

    def _event(
        self, request: Request, name: str, attributes: Mapping[str, Any] | None = None
    ) -> None:
        found = self._spans.get(request)
        if found is not None:
            found[0].add_event(name, attributes)


def _common(facts: RequestFacts) -> Attributes:
    """Return the attributes of spans and metrics that are known before the request is sent."""
    attributes: Attributes = {
        "db.system.name": "cassandra",
        "db.operation.name": facts.operation,
        "db.query.summary": facts.summary,
    }
    if facts.keyspace is not None:
        attributes["db.namespace"] = facts.keyspace
    if facts.target is not None:
        attributes["db.collection.name"] = facts.target
    return attributes


def _cassandra(facts: RequestFacts) -> Attributes:
    attributes: Attributes = {"cassandra.query.idempotent": facts.idempotent}
    if facts.consistency is not None:
        attributes["cassandra.consistency.level"] = facts.consistency.lower()
    if facts.page_size is not None:
        attributes["cassandra.page.size"] = facts.page_size
    # A batch of one counts as no batch, by the convention.
    if facts.batch_size is not None and facts.batch_size != 1:
        attributes["db.operation.batch.size"] = facts.batch_size
    return attributes


def _outcome(request: Request, error: BaseException | None, endpoint: str | None) -> Attributes:
    attributes: Attributes = {}
    if endpoint is not None:
        attributes |= _node(endpoint, "server")
    if error is not None:
        attributes["error.type"] = type(error).__name__
        report = None if request.response is None else request.response.error
        if report is not None:
            attributes["db.response.status_code"] = str(report.code)
    return attributes


def _answer(request: Request, endpoint: str | None) -> Attributes:
    attributes: Attributes = {}
    if request.speculations:
        attributes["cassandra.speculative_execution.count"] = request.speculations
    if request.pages:
        attributes["db.response.returned_rows"] = request.row_count
    if endpoint is not None:
        attributes |= _node(endpoint, "network.peer")
    if request.coordinator is not None:
        host = request.coordinator.host
        if host is not None and host.datacenter is not None:
            attributes["cassandra.coordinator.dc"] = host.datacenter
        if host is not None and host.host_id is not None:
            attributes["cassandra.coordinator.id"] = str(host.host_id)
    return attributes


def _endpoint_of(request: Request) -> str | None:
    """Return the node that answered or, without an answer, the one that was tried last."""
    if request.coordinator is not None:
        return request.coordinator.endpoint
    attempts = request.attempt_times()
    return attempts[-1][0] if attempts else None


def _node(endpoint: str, prefix: str) -> Attributes:
    address, _, port = endpoint.rpartition(":")
    return {f"{prefix}.address": address, f"{prefix}.port": int(port)}
