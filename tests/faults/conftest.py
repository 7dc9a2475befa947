"""The servers that tests of failing nodes may ask for."""

from tests.support.servers import three_nodes

__all__ = ["three_nodes"]
