"""Which nodes a request goes to, in which order."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain, cycle, repeat
from typing import Any

import pytest
from cassandra.policies import RetryPolicy

from async_cassandra._driver.lookups import TokenRing
from async_cassandra._request.plan import Routes
from async_cassandra._request.request import Request
from async_cassandra.exceptions import QueryTimeoutError
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import INT_ROW, InOrder, RequestRig, nothing_more, until
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
        where = {} if keyspace is None else {"routing_key": b"key", "keyspace": keyspace}
        request = self.rig.query(
            "SELECT v FROM t", is_idempotent=True, retry_policy=AskAll(), statement_options=where
        )
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


# Plans of policies that an application wrote


class Planning(InOrder):
    """A policy whose plans are made by a function of its hosts."""

    def __init__(self, hosts: Sequence[Any], plan: Callable[[list[Any]], Iterable[Any]]) -> None:
        super().__init__(hosts)
        self.plan = plan

    def make_query_plan(self, working_keyspace: str | None = None, query: Any = None) -> Any:
        return self.plan(self.hosts)


def endless(hosts: list[Any]) -> Iterator[Any]:
    return cycle(hosts)


def endless_first(hosts: list[Any]) -> Iterator[Any]:
    return chain(hosts, repeat(hosts[0]))


def with_strangers(hosts: list[Any]) -> list[Any]:
    return [None, hosts[0], "127.0.0.1", hosts[0], 7, *hosts, hosts[1]]


@pytest.mark.parametrize("plan", [endless, endless_first, with_strangers, tuple, iter])
async def test_each_node_of_a_plan_is_asked_once_whatever_else_it_gives(plan: Any) -> None:
    async with planned() as session:
        session.rig.executor.routes.clear()
        session.rig.policy = Planning(session.rig.policy.hosts, plan)
        assert await session.order() == [0, 1, 2, 3]


@pytest.mark.parametrize("stranger", ["127.0.0.1", None])
async def test_plan_of_hosts_without_connections_that_never_ends_leaves_the_request_waiting(
    stranger: Any,
) -> None:
    async with planned() as session:
        policy = Planning([], lambda hosts: repeat(stranger))
        request = session.rig.read(policy=policy, timeout=5.0)
        await nothing_more(session.rig)
        session.rig.advance(5.1)
        with pytest.raises(QueryTimeoutError):
            await request
        await session.rig.check_quiet()


async def test_plan_is_read_as_far_as_it_is_needed() -> None:
    read: list[Any] = []

    def noted(hosts: list[Any]) -> Iterator[Any]:
        for host in hosts:
            read.append(host)
            yield host

    async with planned() as session:
        rig = session.rig
        policy = Planning(rig.policy.hosts, noted)
        request = rig.read(policy=policy, retry_policy=AskAll())
        (await rig.peers[0].next_request()).reply_rows(INT_ROW, [(1,)])
        await request
        assert read == policy.hosts[:1]
        rig.connection(0).suspect = True
        request = rig.read(policy=policy)
        (await rig.peers[1].next_request()).reply_rows(INT_ROW, [(1,)])
        await request
        assert read == policy.hosts[:1] + policy.hosts[:2]
        await rig.check_quiet()


async def test_plan_that_raises_midway_fails_its_request_when_it_comes_to_that() -> None:
    def broken(hosts: list[Any]) -> Iterator[Any]:
        yield hosts[0]
        raise LookupError("a bug in the policy")

    async with planned() as session:
        rig = session.rig
        policy = Planning(rig.policy.hosts, broken)
        lucky = rig.read(policy=policy)
        (await rig.peers[0].next_request()).reply_rows(INT_ROW, [(1,)])
        await lucky
        unlucky = rig.read(policy=policy, timeout=10.0)
        first = await rig.peers[0].next_request()
        rig.advance(3.1)
        with pytest.raises(LookupError, match="a bug in the policy"):
            await unlucky
        rig.connection(0).suspect = True
        with pytest.raises(LookupError, match="a bug in the policy"):
            rig.read(policy=policy)
        await rig.check_quiet(first)


async def test_plan_that_is_none_fails_its_request() -> None:
    async with planned() as session:
        policy: Any = Planning([], lambda hosts: None)  # type: ignore[arg-type, return-value]
        with pytest.raises(TypeError):
            session.rig.read(policy=policy)
        await session.rig.check_quiet()
