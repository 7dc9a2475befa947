"""Integrations with web frameworks; each module needs the extra of its name."""
