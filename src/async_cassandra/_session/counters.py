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
    label: str


_SERIES = {
    (Kind.COUNT, ""): (
        ("cassandra_prepares_total", "Statements prepared", "prepares"),
        ("cassandra_attempts_total", "Attempts sent to nodes", "attempts"),
        ("cassandra_speculative_attempts_total", "Attempts beside a live one", "speculations"),
        (
            "cassandra_speculative_wins_total",
            "Requests that such an attempt won",
            "speculative_wins",
        ),
        ("cassandra_queued_requests_total", "Requests that had to wait for a place", "queued"),
        ("cassandra_pages_total", "Pages received", "pages"),
        ("cassandra_rows_total", "Rows received", "rows"),
        ("cassandra_connections_opened_total", "Connections opened", "connections_opened"),
        ("cassandra_connections_lost_total", "Connections lost", "connections_lost"),
    ),
    (Kind.COUNTS, "error_type"): (("cassandra_errors_total", "Failed queries", "errors"),),
    (Kind.COUNTS, "reason"): (("cassandra_retries_total", "Requests sent again", "retries"),),
    (Kind.REQUESTS, ""): (
        ("cassandra_requests_in_flight", "Requests sent and not finished", "in_flight"),
        ("cassandra_requests_queued", "Requests that wait for a place", "queued"),
    ),
    (Kind.NODES, "host"): (
        ("cassandra_connections", "Open connections", "connections"),
        ("cassandra_orphaned_stream_ids", "Ids whose late response is due", "orphaned"),
        ("cassandra_node_up", "Whether a session has a connection to it", "is_open"),
    ),
    (Kind.CHECKS, "host"): (
        ("cassandra_connection_healthy", "Whether it answered its last check", "is_healthy"),
    ),
}
SERIES = tuple(Series(*row, kind, label) for (kind, label), rows in _SERIES.items() for row in rows)
