"""The native protocol without input or output: bytes, segments, messages, values, and back."""

from async_cassandra._libraries import LIBRARIES

LIBRARIES.add(__name__)
