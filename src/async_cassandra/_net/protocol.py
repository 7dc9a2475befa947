"""The connection as the loops want to see it."""

import asyncio

from async_cassandra._net.connection import Connection


class ConnectionProtocol(Connection, asyncio.BufferedProtocol):
    """A :class:`Connection` that is an ``asyncio.BufferedProtocol``, which a loop asks for by class."""

    __slots__ = ()
