"""The native protocol without input or output: bytes, segments, messages, values, and back."""

import async_cassandra._wire._compiled as _compiled  # type: ignore[import-not-found]
from async_cassandra._libraries import LIBRARIES

LIBRARIES.add(_compiled)
