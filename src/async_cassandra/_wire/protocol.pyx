"""The numbers of the native protocol."""
