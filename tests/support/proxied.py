"""Nodes that are reached through cutting proxies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cassandra.connection import DefaultEndPoint, DefaultEndPointFactory

from tests.support.cutting_proxy import CuttingProxy, Link

__all__ = ["ThroughProxies", "control_links"]


class ThroughProxies(DefaultEndPointFactory):  # type: ignore[misc]
    """Names a proxy wherever the cluster names the node behind it."""

    def __init__(self, proxies: Iterable[CuttingProxy]) -> None:
        super().__init__()
        self._proxies = {(proxy.target_host, proxy.target_port): proxy for proxy in proxies}

    def create(self, row: dict[str, Any]) -> DefaultEndPoint:
        endpoint = super().create(row)
        proxy = self._proxies.get((endpoint.address, endpoint.port))
        return endpoint if proxy is None else DefaultEndPoint(proxy.host, proxy.port)


def control_links(proxies: Iterable[CuttingProxy]) -> list[Link]:
    """The links of control connections."""
    return [link for proxy in proxies for link in proxy.links if link.is_control_connection]
