"""Which requests are sent again after a server's error, where to, and after which pause."""

from typing import Any

import cassandra
import pytest
from cassandra import ConsistencyLevel, protocol
from cassandra.policies import RetryPolicy

from async_cassandra import exceptions
from async_cassandra._request import faults
from async_cassandra._request.request import Request, State
from async_cassandra.retry_policy import AsyncRetryPolicy, DefaultRetryPolicy
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import INT_ROW, RequestRig, nodes, nothing_more, until

pytestmark = [pytest.mark.anyio, pytest.mark.promise(4)]


# Every error, by the policies that come with the library and the driver

ROUNDS = 5
"""How often the whole plan is tried while every node refuses."""

LATE_DATA = {"received": 1, "block_for": 1}
TOO_FEW = {"received": 0, "block_for": 1}
ERRORS: list[tuple[str, ErrorCode, dict[str, Any], type[Exception]]] = [
    ("overloaded", ErrorCode.OVERLOADED, {}, exceptions.OverloadedError),
    (
        "is bootstrapping",
        ErrorCode.IS_BOOTSTRAPPING,
        {},
        protocol.IsBootstrappingErrorMessage,
    ),
    ("unavailable", ErrorCode.UNAVAILABLE, {}, cassandra.Unavailable),
    ("read timeout", ErrorCode.READ_TIMEOUT, TOO_FEW, cassandra.ReadTimeout),
    ("read timeout, late data", ErrorCode.READ_TIMEOUT, LATE_DATA, cassandra.ReadTimeout),
    ("write timeout", ErrorCode.WRITE_TIMEOUT, {}, cassandra.WriteTimeout),
    (
        "write timeout, batch log",
        ErrorCode.WRITE_TIMEOUT,
        {"write_type": "BATCH_LOG"},
        cassandra.WriteTimeout,
    ),
    (
        "write timeout, counter",
        ErrorCode.WRITE_TIMEOUT,
        {"write_type": "COUNTER"},
        cassandra.WriteTimeout,
    ),
    ("read failure", ErrorCode.READ_FAILURE, {}, cassandra.ReadFailure),
    ("write failure", ErrorCode.WRITE_FAILURE, {}, cassandra.WriteFailure),
    ("cas write unknown", ErrorCode.CAS_WRITE_UNKNOWN, {}, exceptions.CasWriteUnknown),
    ("truncate error", ErrorCode.TRUNCATE, {}, protocol.TruncateError),
    ("function failure", ErrorCode.FUNCTION_FAILURE, {}, cassandra.FunctionFailure),
    ("cdc write failure", ErrorCode.CDC_WRITE_FAILURE, {}, cassandra.CDCWriteFailure),
    ("server error", ErrorCode.SERVER, {}, protocol.ServerError),
]
POLICIES: dict[str, type[RetryPolicy]] = {
    "default": DefaultRetryPolicy,
    "async": AsyncRetryPolicy,
    "driver": RetryPolicy,
}

ONCE = [0]
NEXT = [0, 1]
SAME = [0, 0]
REFUSED = NEXT * ROUNDS
# The nodes asked, in order, by which every error above goes on; what is left out is asked once.
IDEMPOTENT: dict[str, dict[str, list[int]]] = {
    "default": {
        "overloaded": REFUSED,
        "is bootstrapping": REFUSED,
        "unavailable": NEXT,
        "read timeout": NEXT,
        "read timeout, late data": SAME,
        "write timeout, batch log": SAME,
        "read failure": NEXT,
        "truncate error": NEXT,
        "server error": NEXT,
    },
    "async": {
        "overloaded": NEXT * 2,
        "is bootstrapping": NEXT * 2,
        "unavailable": [0, 1, 1, 1],
        "read timeout, late data": SAME * 2,
        "write timeout": SAME * 2,
        "read failure": NEXT,
        "write failure": NEXT,
        "truncate error": NEXT,
        "function failure": NEXT,
        "cdc write failure": NEXT,
        "server error": NEXT,
    },
    "driver": {
        "overloaded": REFUSED,
        "is bootstrapping": REFUSED,
        "unavailable": NEXT,
        "read timeout, late data": SAME,
        "write timeout, batch log": SAME,
        "read failure": NEXT,
        "write failure": NEXT,
        "truncate error": NEXT,
        "function failure": NEXT,
        "cdc write failure": NEXT,
        "server error": NEXT,
    },
}
# Only what the coordinator surely did not start.
NOT_IDEMPOTENT: dict[str, dict[str, list[int]]] = {
    "default": {"is bootstrapping": REFUSED, "unavailable": NEXT},
    "async": {"unavailable": [0, 1, 1, 1]},
    "driver": {"is bootstrapping": REFUSED, "unavailable": NEXT},
}


async def answer_all(
    rig: RequestRig, request: Request, code: ErrorCode, fields: dict[str, Any]
) -> tuple[list[int], list[int]]:
    """Answer every attempt with the same error; the nodes asked, and after which a pause came."""
    asked: list[int] = []
    pauses: list[int] = []
    while not request.done():
        if request.state == State.PAUSED:
            pauses.append(len(asked))
            rig.advance(faults.LONGEST_BACKOFF)
        await rig.settle()
        (index,) = [i for i, peer in enumerate(rig.peers) if peer.waiting_requests]
        asked.append(index)
        (await rig.peers[index].next_request()).reply_error(code, **fields)
        await rig.settle()
    return asked, pauses


def expected_pauses(asked: list[int]) -> list[int]:
    """A pause comes before the same node again, and before the plan's start again."""
    return [at for at in range(1, len(asked)) if asked[at] <= asked[at - 1]]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error[0].replace(" ", "-"))
@pytest.mark.parametrize("is_idempotent", [True, False], ids=["idempotent", "not-idempotent"])
async def test_error_goes_on_as_the_policy_says_where_it_may(
    is_idempotent: bool,
    error: tuple[str, ErrorCode, dict[str, Any], type[Exception]],
    policy: str,
) -> None:
    name, code, fields, kind = error
    table = IDEMPOTENT if is_idempotent else NOT_IDEMPOTENT
    expected = table[policy].get(name, ONCE)
    async with nodes(2) as rig:
        request = rig.write(
            is_idempotent=is_idempotent, retry_policy=POLICIES[policy](), timeout=1000.0
        )
        asked, pauses = await answer_all(rig, request, code, fields)
        with pytest.raises(kind) as caught:
            await request
        assert asked == expected
        assert pauses == expected_pauses(expected)
        assert isinstance(caught.value, exceptions.QueryError)
        assert caught.value.attempts == len(expected)
        await nothing_more(rig)
        await rig.check_quiet()


# Pauses


class Patient(RetryPolicy):
    """Names its own pauses, as some versions of the driver's policies do."""

    def __init__(self, decision: int) -> None:
        self.decision = decision

    def on_request_error(self, *args: Any, **facts: Any) -> Any:
        if facts["retry_num"] == 3:
            return self.RETHROW, None, None
        return self.decision, None, 3.0 * 2 ** facts["retry_num"]


@pytest.mark.parametrize("decision", [RetryPolicy.RETRY, RetryPolicy.RETRY_NEXT_HOST])
async def test_pause_that_a_policy_names_is_kept_exactly(decision: int) -> None:
    async with nodes(3) as rig:
        request = rig.read(retry_policy=Patient(decision), timeout=100.0)
        for number, pause in enumerate([3.0, 6.0]):
            peer = rig.peers[number if decision == RetryPolicy.RETRY_NEXT_HOST else 0]
            (await peer.next_request()).reply_error(ErrorCode.SERVER)
            await until(lambda: request.state == State.PAUSED)
            rig.advance(pause - 0.01)
            await nothing_more(rig)
            rig.advance(0.011)
        last = rig.peers[2 if decision == RetryPolicy.RETRY_NEXT_HOST else 0]
        (await last.next_request()).reply_rows(INT_ROW, [(1,)])
        await request


async def test_pause_that_a_policy_names_follows_a_lost_connection_too() -> None:
    async with nodes(2) as rig:
        request = rig.read(retry_policy=Patient(RetryPolicy.RETRY_NEXT_HOST), timeout=100.0)
        (await rig.peers[0].next_request()).drop()
        await until(lambda: request.state == State.PAUSED)
        await until(lambda: rig.pools[0].connections)
        rig.advance(2.99)
        await nothing_more(rig)
        rig.advance(0.011)
        (await rig.peers[0].next_request()).reply_rows(INT_ROW, [(1,)])
        await request


async def test_pause_beyond_the_deadline_ends_the_request_with_its_error() -> None:
    async with nodes() as rig:
        request = rig.read(retry_policy=Patient(RetryPolicy.RETRY), timeout=2.5)
        (await rig.peers[0].next_request()).reply_error(ErrorCode.SERVER)
        with pytest.raises(protocol.ServerError):
            await request
        await rig.check_quiet()


def test_backoff_grows_exponentially_with_full_jitter() -> None:
    for earlier in range(8):
        longest = min(faults.LONGEST_BACKOFF, faults.FIRST_BACKOFF * 2**earlier)
        pauses = [faults.backoff(earlier) for _ in range(500)]
        assert 0.0 <= min(pauses) < longest * 0.1
        assert longest * 0.9 < max(pauses) <= longest
        assert len(set(pauses)) == len(pauses)


async def test_next_node_is_asked_without_a_pause() -> None:
    async with nodes(2) as rig:
        request = rig.read()
        (await rig.peers[0].next_request()).reply_error(ErrorCode.OVERLOADED)
        (await rig.peers[1].next_request()).reply_rows(INT_ROW, [(1,)])
        await request
        assert rig.clock.now == request.started


async def test_node_that_recovers_while_all_refused_is_found() -> None:
    async with nodes(2) as rig:
        request = rig.read()
        for peer in rig.peers:
            (await peer.next_request()).reply_error(ErrorCode.OVERLOADED)
        await until(lambda: request.state == State.PAUSED)
        rig.advance(2 * faults.FIRST_BACKOFF)
        (await rig.peers[0].next_request()).reply_rows(INT_ROW, [(1,)])
        await request
        assert request.attempts == 3


async def test_failure_of_one_node_ends_the_rounds_of_the_others() -> None:
    async with nodes(2) as rig:
        request = rig.read()
        (await rig.peers[0].next_request()).reply_error(ErrorCode.READ_FAILURE)
        (await rig.peers[1].next_request()).reply_error(ErrorCode.OVERLOADED)
        with pytest.raises(exceptions.OverloadedError):
            await request
        await nothing_more(rig)


# Idempotence is the gate behind any policy


class Counting(RetryPolicy):
    """Decides the same for everything, and remembers what it was asked."""

    def __init__(self, *decision: Any, times: int = 1) -> None:
        self.decision = decision
        self.times = times
        self.asked: list[str] = []

    def _decide(self, what: str, retry_num: int) -> tuple[Any, ...]:
        self.asked.append(what)
        return self.decision if retry_num < self.times else (self.RETHROW, None)

    def on_read_timeout(self, *args: Any, **facts: Any) -> Any:
        return self._decide("read timeout", facts["retry_num"])

    def on_write_timeout(self, *args: Any, **facts: Any) -> Any:
        return self._decide("write timeout", facts["retry_num"])

    def on_unavailable(self, *args: Any, **facts: Any) -> Any:
        return self._decide("unavailable", facts["retry_num"])

    def on_request_error(self, *args: Any, **facts: Any) -> Any:
        return self._decide("request error", facts["retry_num"])


POLICY_CALLS = {
    ErrorCode.READ_TIMEOUT: "read timeout",
    ErrorCode.WRITE_TIMEOUT: "write timeout",
    ErrorCode.UNAVAILABLE: "unavailable",
    ErrorCode.SERVER: "request error",
    ErrorCode.OVERLOADED: "request error",
    ErrorCode.READ_FAILURE: "request error",
    ErrorCode.WRITE_FAILURE: "request error",
    ErrorCode.TRUNCATE: "request error",
}


@pytest.mark.parametrize("code", POLICY_CALLS, ids=lambda code: code.name.lower())
@pytest.mark.parametrize("decision", ["RETRY", "RETRY_NEXT_HOST"])
async def test_policy_decides_where_an_idempotent_request_goes_on(
    code: ErrorCode, decision: str
) -> None:
    policy = Counting(getattr(RetryPolicy, decision), None)
    async with nodes(2) as rig:
        request = rig.read(retry_policy=policy)
        (await rig.peers[0].next_request()).reply_error(code)
        await rig.settle()
        rig.advance(1.0)
        again = await rig.peers[decision == "RETRY_NEXT_HOST"].next_request()
        again.reply_rows(INT_ROW, [(1,)])
        await request
        assert policy.asked == [POLICY_CALLS[code]]
        assert (request.attempts, request.retries) == (2, 1)
        await nothing_more(rig)
        await rig.check_quiet()


async def test_rethrow_ends_the_request_with_the_servers_error() -> None:
    policy = Counting(RetryPolicy.RETHROW, None)
    async with nodes(2) as rig:
        request = rig.read(retry_policy=policy)
        (await rig.peers[0].next_request()).reply_error(ErrorCode.READ_TIMEOUT)
        with pytest.raises(cassandra.ReadTimeout):
            await request
        await nothing_more(rig)


async def test_ignore_ends_the_request_without_rows() -> None:
    async with nodes(2) as rig:
        request = rig.read(retry_policy=Counting(RetryPolicy.IGNORE, None))
        (await rig.peers[0].next_request()).reply_error(ErrorCode.READ_TIMEOUT)
        await request
        assert request.response is None
        await nothing_more(rig)


async def test_retry_may_lower_the_consistency() -> None:
    async with nodes() as rig:
        request = rig.read(retry_policy=Counting(RetryPolicy.RETRY, ConsistencyLevel.ONE))
        first = await rig.peers[0].next_request()
        first.reply_error(ErrorCode.UNAVAILABLE)
        await until(lambda: request.state == State.PAUSED)
        rig.advance(2 * faults.FIRST_BACKOFF)
        again = await rig.peers[0].next_request()
        assert (first.consistency, again.consistency) == (
            ConsistencyLevel.LOCAL_ONE,
            ConsistencyLevel.ONE,
        )
        again.reply_void()
        await request


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE t SET v = 1 WHERE k = 0 IF v = 0",
        "INSERT INTO t (k, v) VALUES (1, 2) IF NOT EXISTS",
        "DELETE FROM t WHERE k = 0 IF EXISTS",
    ],
)
@pytest.mark.parametrize("code", [ErrorCode.CAS_WRITE_UNKNOWN, ErrorCode.WRITE_TIMEOUT])
async def test_lightweight_transaction_is_never_repeated(text: str, code: ErrorCode) -> None:
    policy = Counting(RetryPolicy.RETRY, None, times=9)
    async with nodes(2) as rig:
        request = rig.query(text, is_idempotent=True, retry_policy=policy)
        request.start()
        (await rig.peers[0].next_request()).reply_error(code, write_type="CAS")
        with pytest.raises(exceptions.QueryError):
            await request
        assert len(policy.asked) == 1
        await nothing_more(rig)


async def test_unknown_cas_is_not_repeated_even_for_a_marked_write() -> None:
    policy = Counting(RetryPolicy.RETRY, None, times=9)
    async with nodes(2) as rig:
        request = rig.write(is_idempotent=True, retry_policy=policy)
        (await rig.peers[0].next_request()).reply_error(ErrorCode.CAS_WRITE_UNKNOWN)
        with pytest.raises(exceptions.CasWriteUnknown):
            await request
        assert policy.asked == ["request error"]
        await nothing_more(rig)


async def test_statement_errors_are_not_repeated() -> None:
    policy = Counting(RetryPolicy.RETRY_NEXT_HOST, None, times=9)
    async with nodes(2) as rig:
        for code in (ErrorCode.SYNTAX, ErrorCode.INVALID, ErrorCode.UNAUTHORIZED):
            request = rig.read(retry_policy=policy)
            (await rig.peers[0].next_request()).reply_error(code)
            with pytest.raises(exceptions.QueryError):
                await request
        assert policy.asked == []
        await nothing_more(rig)


class Raising(RetryPolicy):
    """A policy with a bug."""

    def on_read_timeout(self, *args: Any, **facts: Any) -> Any:
        raise LookupError("a bug in the policy")

    def on_request_error(self, *args: Any, **facts: Any) -> Any:
        raise LookupError("a bug in the policy")


async def test_policy_that_raises_fails_its_own_request_only() -> None:
    async with nodes() as rig:
        broken = rig.read(retry_policy=Raising())
        healthy = rig.read()
        asked = [await rig.peers[0].next_request() for _ in range(2)]
        asked[0].reply_error(ErrorCode.READ_TIMEOUT)
        with pytest.raises(LookupError, match="a bug in the policy"):
            await broken
        asked[1].reply_rows(INT_ROW, [(2,)])
        await healthy
        assert not rig.connection().closed
        await rig.check_quiet()


async def test_policy_that_raises_about_a_lost_connection_fails_its_request() -> None:
    async with nodes() as rig:
        request = rig.read(retry_policy=Raising())
        (await rig.peers[0].next_request()).drop()
        with pytest.raises(LookupError):
            await request
        await until(lambda: rig.pools[0].connections)
        await rig.check_quiet()
