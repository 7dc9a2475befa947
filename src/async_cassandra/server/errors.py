"""The errors of the server for development and tests.

::

    RuntimeError
     └─ ServerError
         ├─ NoCassandraError    jars, Java or the platform are missing: says what to do
         ├─ ServerStartError    a node did not start: names its log and shows the end of it
         └─ CqlError            the node refused a statement
"""


class ServerError(RuntimeError):
    """A Cassandra server for development and tests could not do what was asked."""


class NoCassandraError(ServerError):
    """No Cassandra is available on this machine; the message says why and what to do."""


class ServerStartError(ServerError):
    """A node did not start; the message names its log and shows the end of it."""


class CqlError(ServerError):
    """A node answered with an ERROR message.

    :param code: the protocol's error code, 0x0100 for bad credentials
    :param message: the server's own words
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} (error code 0x{self.code:04x})"
