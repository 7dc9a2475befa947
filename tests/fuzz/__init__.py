"""Hostile and broken bytes for ``_wire``: what goes in, what may come out, and two ways to search."""
