"""The native protocol without input or output: bytes to segments to envelopes to messages to values, and back."""
