"""The native protocol without input or output: bytes, segments, messages, values, and back."""

import async_cassandra._library  # noqa: F401  finds the compiled modules

# Each makes its types known.
from async_cassandra._wire import (  # noqa: F401
    codecs_collection,
    codecs_scalar,
    codecs_temporal,
    codecs_vector,
)
