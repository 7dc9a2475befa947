"""The servers that integration tests may ask for."""

from tests.support.servers import secure_server, three_nodes

__all__ = ["secure_server", "three_nodes"]
