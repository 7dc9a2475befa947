"""A control connection whose network swallows everything: noticed by a probe, and replaced."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cassandra.auth import PlainTextAuthProvider
from cassandra.policies import ConstantReconnectionPolicy

from async_cassandra._driver.cluster_settings import probing_of
from async_cassandra._driver.control_connection import Probing
from async_cassandra._driver.control_plane import ControlPlane
from tests.support.cutting_proxy import CuttingProxy
from tests.support.proxied import ThroughProxies, control_links
from tests.support.request_rig import until
from tests.support.scripted_peer import ScriptedPeer, scripted_cluster

QUICK = {"idle_heartbeat_interval": 0.1, "control_connection_timeout": 0.5}


@asynccontextmanager
async def started(*proxies: CuttingProxy, **more: Any) -> AsyncIterator[ControlPlane]:
    """A control plane that reaches every node through its proxy."""
    plane = ControlPlane(
        contact_points=[proxies[0].host],
        port=proxies[0].port,
        endpoint_factory=ThroughProxies(proxies),
        reconnection_policy=ConstantReconnectionPolicy(0.02, max_attempts=None),
        **QUICK | more,
    )
    await plane.start(5)
    try:
        yield plane
    finally:
        await plane.stop()


@asynccontextmanager
async def connected(peer: ScriptedPeer, **more: Any) -> AsyncIterator[CuttingProxy]:
    """A started control plane behind a proxy."""
    async with CuttingProxy(peer.host, peer.port) as proxy, started(proxy, **more):
        yield proxy


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["both", "half-open"])
async def test_swallowed_control_connection_is_replaced(way: str) -> None:
    async with ScriptedPeer() as peer, connected(peer) as proxy:
        (first,) = control_links([proxy])
        if way == "both":
            first.black_hole = True
        else:
            first.half_open()
        await until(lambda: any(link is not first for link in control_links([proxy])))


@pytest.mark.anyio
async def test_answered_probes_keep_the_control_connection() -> None:
    async with ScriptedPeer() as peer, connected(peer) as proxy:
        (first,) = control_links([proxy])
        seen = proxy.to_client.passed_bytes
        await until(lambda: proxy.to_client.passed_bytes > seen + 400)
        assert proxy.links == [first]


@pytest.mark.parametrize(
    ("settings", "probing"),
    [
        ({}, Probing(2.0, 2.0)),
        ({"idle_heartbeat_interval": 30.0, "control_connection_timeout": 5.0}, Probing(2.0, 5.0)),
        ({"idle_heartbeat_interval": 0.5}, Probing(0.5, 2.0)),
        ({"idle_heartbeat_interval": 0}, None),
        ({"idle_heartbeat_interval": None}, None),
        ({"idle_heartbeat_timeout": 15.0}, Probing(2.0, 15.0)),
        ({"control_connection_timeout": None}, Probing(2.0, 2.0)),
    ],
)
def test_control_connection_is_probed_within_seconds_or_never(
    settings: dict[str, float | None], probing: Probing | None
) -> None:
    assert probing_of(settings) == probing


@pytest.mark.anyio
async def test_probe_does_not_disturb_a_slow_handshake() -> None:
    class Slow(PlainTextAuthProvider):
        def new_authenticator(self, host: Any) -> Any:
            time.sleep(1.0)
            return super().new_authenticator(host)

    provider = Slow("cassandra", "secret")
    peer = ScriptedPeer(password=("cassandra", "secret"))
    async with peer, connected(peer, auth_provider=provider) as proxy:
        assert len(control_links([proxy])) == 1
        assert peer.waiting_requests == 0


@pytest.mark.anyio
async def test_loop_that_was_blocked_does_not_lose_it() -> None:
    async with ScriptedPeer() as peer, connected(peer) as proxy:
        (first,) = control_links([proxy])
        for _ in range(3):
            blocked_until = time.monotonic() + 1.0
            while time.monotonic() < blocked_until:
                pass
            await asyncio.sleep(0.01)
        assert proxy.links == [first]


@pytest.mark.anyio
async def test_node_that_hangs_is_passed_over() -> None:
    addresses = ["127.0.31.1", "127.0.31.2"]
    async with (
        scripted_cluster(addresses) as (first, second),
        CuttingProxy(first.host, first.port, host="127.0.9.1") as hanging,
        CuttingProxy(second.host, second.port, host="127.0.9.2") as healthy,
        started(hanging, healthy, connect_timeout=60),
    ):
        hanging.black_hole()
        await until(lambda: control_links([healthy]))
        assert len(hanging.links) == 0
