"""Which nodes a request goes to, in which order."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cassandra.policies import RetryPolicy

from async_cassandra._driver.ring import TokenRing
from async_cassandra._exec.request import Request
from async_cassandra._exec.routes import Routes
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import RequestRig, until
from tests.support.scripted_peer import scripted_cluster

pytestmark = pytest.mark.anyio

HOSTS = ("127.0.4.1", "127.0.4.2", "127.0.4.3", "127.0.4.4")


class AskAll(RetryPolicy):
    """A policy that goes from one node to the next."""

    def on_request_error(
        self, query: Any, consistency: int | None, error: Exception, retry_num: int
    ) -> tuple[int, int | None]:
        return self.RETRY_NEXT_HOST, None


class Planned:
    """Requests by the routes of a session with three local nodes and a remote one.

    :param replicas: of every token of the keyspace ``ks``, by their numbers
    """

    def __init__(self, rig: RequestRig, replicas: Sequence[int], rotates: bool) -> None:
        self.rig = rig
        self.wanted: list[str] = []
        ring = TokenRing([(0, [rig.pools[number] for number in replicas])])
        rig.executor.routes[rig.policy] = Routes(
            tuple(rig.pools[:3]),
            tuple(rig.pools[3:]),
            {"ks": ring} if replicas else {},
            self.wanted.append,
            rotates,
        )

    async def order(self, keyspace: str | None = None) -> list[int]:
        """The numbers of the peers that a request is sent to while every one refuses it.

        :param keyspace: of the request's token; ``None`` sends it without a token
        """
        request = self.rig.query("SELECT v FROM t", is_idempotent=True, retry_policy=AskAll())
        if keyspace is not None:
            request.token = 7
            request.has_token = True
            request.routing_keyspace = keyspace
        request.start()
        asked = [await self._refuse(request) for _ in self.rig.peers]
        request.cancel()
        return asked

    async def _refuse(self, request: Request) -> int:
        peers = self.rig.peers
        await until(lambda: any(peer.waiting_requests for peer in peers))
        (number,) = [n for n, peer in enumerate(peers) if peer.waiting_requests]
        attempts = request.attempts
        (await peers[number].next_request()).reply_error(ErrorCode.OVERLOADED)
        if attempts < len(peers):
            await until(lambda: request.attempts > attempts)
        return number


@asynccontextmanager
async def planned(replicas: Sequence[int] = (), *, rotates: bool = False) -> AsyncIterator[Planned]:
    async with scripted_cluster(HOSTS) as peers, RequestRig(*peers) as rig:
        yield Planned(rig, replicas, rotates)


async def test_replicas_come_first_then_local_nodes_then_remote_ones() -> None:
    async with planned([2, 1]) as session:
        for _ in range(3):
            assert await session.order("ks") == [2, 1, 0, 3]


async def test_local_nodes_take_turns_where_there_is_no_token() -> None:
    async with planned([2, 1]) as session:
        orders = [await session.order() for _ in range(3)]
        assert sorted(order[0] for order in orders) == [0, 1, 2]
        assert all(sorted(order[:3]) == [0, 1, 2] for order in orders)
        assert {order[3] for order in orders} == {3}


async def test_replicas_take_turns_where_the_policy_shuffles() -> None:
    async with planned([2, 1, 0], rotates=True) as session:
        orders = [await session.order("ks") for _ in range(3)]
        assert sorted(order[0] for order in orders) == [0, 1, 2]
        assert {order[3] for order in orders} == {3}


async def test_keyspace_without_a_ring_is_asked_for_and_local_nodes_take_turns() -> None:
    async with planned() as session:
        orders = [await session.order("fresh") for _ in range(3)]
        assert sorted(order[0] for order in orders) == [0, 1, 2]
        assert set(session.wanted) == {"fresh"}


async def test_policy_of_an_application_is_asked_for_each_request() -> None:
    async with planned() as session:
        session.rig.executor.routes.clear()
        session.rig.policy.hosts.reverse()
        assert await session.order() == [3, 2, 1, 0]
