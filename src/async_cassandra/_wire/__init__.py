"""The native protocol without input or output: bytes, segments, messages, values, and back."""
