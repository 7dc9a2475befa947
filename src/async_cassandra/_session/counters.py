"""The series that Prometheus has beside the durations of queries: one line for each of them."""

from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What a series shows."""

    COUNT = "a count of RequestStats, which only ever grows"
    COUNTS = "its counts by the class of an error, under a label"
    REQUESTS = "a figure of SessionStats at the moment, of all sessions together"
    NODES = "a figure of NodeStats at the moment, by host, of all sessions together"
    CHECKS = "what the last health check of each host found"


class Series(NamedTuple):
    """One series.

    :ivar attribute: of the class that ``kind`` names; ``is_healthy`` is one of ``ConnectionMetrics``
    :ivar label: empty for none
    """

    name: str
    text: str
    attribute: str
    kind: Kind
    label: str = ""


SERIES = (
    Series("cassandra_prepares_total", "Statements prepared", "prepares", Kind.COUNT),
    Series("cassandra_attempts_total", "Attempts sent to nodes", "attempts", Kind.COUNT),
    Series(
        "cassandra_speculative_attempts_total",
        "Attempts beside a live one",
        "speculations",
        Kind.COUNT,
    ),
    Series(
        "cassandra_speculative_wins_total",
        "Requests that such an attempt won",
        "speculative_wins",
        Kind.COUNT,
    ),
    Series(
        "cassandra_queued_requests_total",
        "Requests that had to wait for a place",
        "queued",
        Kind.COUNT,
    ),
    Series("cassandra_pages_total", "Pages received", "pages", Kind.COUNT),
    Series("cassandra_rows_total", "Rows received", "rows", Kind.COUNT),
    Series(
        "cassandra_connections_opened_total",
        "Connections opened",
        "connections_opened",
        Kind.COUNT,
    ),
    Series("cassandra_connections_lost_total", "Connections lost", "connections_lost", Kind.COUNT),
    Series("cassandra_errors_total", "Failed queries", "errors", Kind.COUNTS, "error_type"),
    Series("cassandra_retries_total", "Requests sent again", "retries", Kind.COUNTS, "reason"),
    Series(
        "cassandra_requests_in_flight",
        "Requests sent and not finished",
        "in_flight",
        Kind.REQUESTS,
    ),
    Series("cassandra_requests_queued", "Requests that wait for a place", "queued", Kind.REQUESTS),
    Series("cassandra_connections", "Open connections", "connections", Kind.NODES, "host"),
    Series(
        "cassandra_orphaned_stream_ids",
        "Ids whose late response is due",
        "orphaned",
        Kind.NODES,
        "host",
    ),
    Series(
        "cassandra_node_up",
        "Whether a session has a connection to it",
        "is_open",
        Kind.NODES,
        "host",
    ),
    Series(
        "cassandra_connection_healthy",
        "Whether it answered its last check",
        "is_healthy",
        Kind.CHECKS,
        "host",
    ),
)
