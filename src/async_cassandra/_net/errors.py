"""The errors that connections raise; the layer above gives them their public classes."""


class ConnectionLost(Exception):
    """A connection ended while something was waiting on it.

    :ivar endpoint: the peer as ``host:port``
    """

    endpoint: str

    def __init__(self, message: str, endpoint: str = "") -> None:
        super().__init__(message, endpoint)
        self.endpoint = endpoint

    def __str__(self) -> str:
        return str(self.args[0])


class ConnectionSilent(ConnectionLost):
    """The peer did not even answer a probe."""


class ConnectFailed(ConnectionLost):
    """A connection could not be opened: refused, unreachable, TLS or the handshake failed."""


class VersionRefused(ConnectFailed):
    """The server does not speak the protocol version that was asked for."""


class AuthenticationRefused(ConnectFailed):
    """The server refused the credentials, or requires some and none were given."""


class KeyspaceRefused(ConnectFailed):
    """The server refused the keyspace, most likely because it does not exist."""
