"""The connection as the loops want to see it."""

import asyncio

from async_cassandra._net.connection import Connection


class ConnectionProtocol(Connection, asyncio.BufferedProtocol):
    """A :class:`Connection` of the class that a loop asks for.

    :ivar supported: what the server said it supports, once it was asked
    """

    __slots__ = ("supported",)
    supported: dict[str, list[str]]
