"""The native protocol without input or output: bytes, segments, messages, values, and back."""

import async_cassandra._library  # noqa: F401  finds the compiled modules
