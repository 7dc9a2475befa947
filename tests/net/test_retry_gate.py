"""Every failure, every decision of a retry policy, every kind of statement: what comes of it."""

from functools import partial
from itertools import product
from typing import Any

import pytest
from cassandra import ConsistencyLevel
from cassandra.policies import RetryPolicy
from cassandra.query import BatchStatement, BatchType

from async_cassandra import exceptions
from async_cassandra._cql.analysis import Repetition
from async_cassandra._request import faults
from async_cassandra._request.request import Request, State
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import RequestRig, nodes, nothing_more, until

pytestmark = [pytest.mark.anyio, pytest.mark.promise(4)]

DECISIONS = ["RETRY", "RETRY_NEXT_HOST", "RETHROW", "IGNORE"]
APPEND = "UPDATE t SET v = v + [1] WHERE k = 0"
# Text, mark, and whether it may be sent again when there are no replicas, and when it was lost.
STATEMENTS = {
    "read": ("SELECT v FROM t", False, True, True),
    "marked write": (APPEND, True, True, True),
    "write": (APPEND, False, True, False),
    "write of several": ("DELETE l[0] FROM t WHERE k IN (1, 2)", False, False, False),
    "counter": ("UPDATE t SET n = n + 1 WHERE k = 0", True, True, False),
    "transaction": ("INSERT INTO t (k) VALUES (1) IF NOT EXISTS", True, False, False),
    "batch": (f"BEGIN BATCH {APPEND} APPLY BATCH", False, True, False),
    "unlogged batch": (f"BEGIN UNLOGGED BATCH {APPEND} APPLY BATCH", False, False, False),
    "role": ("GRANT a TO b", False, False, False),
}
ABOUT_THE_STATEMENT = {
    *(ErrorCode.PROTOCOL, ErrorCode.BAD_CREDENTIALS, ErrorCode.SYNTAX, ErrorCode.UNAUTHORIZED),
    *(ErrorCode.INVALID, ErrorCode.CONFIG, ErrorCode.ALREADY_EXISTS, ErrorCode.UNPREPARED),
}
METHODS = {
    ErrorCode.READ_TIMEOUT: "on_read_timeout",
    ErrorCode.WRITE_TIMEOUT: "on_write_timeout",
    ErrorCode.UNAVAILABLE: "on_unavailable",
}
UNKNOWN_CODE = 0x1F00
NEVER_AGAIN = {ErrorCode.CAS_WRITE_UNKNOWN}
NOT_STARTED = {ErrorCode.IS_BOOTSTRAPPING}


class Decided(RetryPolicy):
    """Decides the same once, for everything, and remembers which of its methods was asked."""

    def __init__(self, decision: Any) -> None:
        self.decision = decision
        self.asked: list[str] = []

    def _decide(self, method: str) -> Any:
        self.asked.append(method)
        return self.decision if len(self.asked) == 1 else (self.RETHROW, None)

    def on_read_timeout(self, *args: Any, **facts: Any) -> Any:
        return self._decide("on_read_timeout")

    def on_write_timeout(self, *args: Any, **facts: Any) -> Any:
        return self._decide("on_write_timeout")

    def on_unavailable(self, *args: Any, **facts: Any) -> Any:
        return self._decide("on_unavailable")

    def on_request_error(self, *args: Any, **facts: Any) -> Any:
        return self._decide("on_request_error")


def started(rig: RequestRig, name: str, policy: RetryPolicy) -> Request:
    text, is_marked, _, _ = STATEMENTS[name]
    request = rig.query(text, is_idempotent=is_marked, retry_policy=policy)
    request.start()
    return request


async def outcome(rig: RequestRig, request: Request, again: int) -> str:
    """How a request goes on after its failure; an answer is given where it is sent again."""
    await rig.settle()
    if request.state == State.PAUSED:
        rig.advance(faults.LONGEST_BACKOFF)
    if not request.done():
        (await rig.peers[again].next_request()).reply_void()
    try:
        await request
    except exceptions.AsyncCassandraError:
        return "RETHROW"
    finally:
        await nothing_more(rig)
    return "IGNORE" if request.response is None else "sent again"


@pytest.mark.parametrize("code", [*ErrorCode, UNKNOWN_CODE], ids=str)
async def test_policy_is_asked_about_every_error_and_only_its_retries_pass_a_gate(
    code: ErrorCode,
) -> None:
    async with nodes(2) as rig:
        for name, decision in product(STATEMENTS, DECISIONS):
            policy = Decided((getattr(RetryPolicy, decision), None))
            request = started(rig, name, policy)
            (await rig.peers[0].next_request()).reply_error(code)
            found = await outcome(rig, request, int(decision == "RETRY_NEXT_HOST"))
            _, _, if_unavailable, if_lost = STATEMENTS[name]
            may_go_on = code in NOT_STARTED or (
                if_unavailable if code == ErrorCode.UNAVAILABLE else if_lost
            )
            expected = "sent again" if may_go_on and code not in NEVER_AGAIN else "RETHROW"
            if decision in ("RETHROW", "IGNORE"):
                expected = decision
            asked = [METHODS.get(code, "on_request_error")]
            if code in ABOUT_THE_STATEMENT:
                expected, asked = "RETHROW", []
            assert (found, policy.asked) == (expected, asked), (name, decision)
        await rig.check_quiet()


def was_lost(rig: RequestRig, policy: Decided) -> bool:
    return bool(rig.pools[0].connections and policy.asked)


@pytest.mark.parametrize("decision", DECISIONS)
async def test_policy_is_asked_about_a_lost_connection_of_any_statement(decision: str) -> None:
    async with nodes() as rig:
        for name, (_, _, _, if_lost) in STATEMENTS.items():
            policy = Decided(getattr(RetryPolicy, decision))
            request = started(rig, name, policy)
            (await rig.peers[0].next_request()).drop()
            await until(partial(was_lost, rig, policy))
            again = "sent again" if if_lost else "RETHROW"
            expected = decision if decision in ("RETHROW", "IGNORE") else again
            assert await outcome(rig, request, 0) == expected, name
            assert policy.asked == ["on_request_error"]
        await rig.check_quiet()


@pytest.mark.parametrize("batch_type", [BatchType.LOGGED, BatchType.UNLOGGED])
@pytest.mark.parametrize("condition", ["", " IF EXISTS"])
async def test_batch_without_replicas_is_sent_again_if_all_were_counted_first(
    batch_type: BatchType, condition: str
) -> None:
    """A batch of statements, one of them prepared."""
    async with nodes() as rig:
        delete = "DELETE l[0] FROM t WHERE k = ?"
        prepared = (await rig.prepare(delete + condition, result_columns=[])).prepared
        batch = BatchStatement(batch_type)
        values = prepared.bind([1])
        entries: list[tuple[str | bytes, bytes]] = [
            (APPEND, b"\0\0"),
            (prepared.prepared_id, values.payload),
        ]
        policy = Decided(RetryPolicy.RETRY)
        options = rig.call_options(retry_policy=policy)
        queries = {prepared.prepared_id: prepared}
        request = rig.builder.batch(
            batch, entries, queries, Repetition.UNKNOWN, None, True, options
        )
        request.start()
        (await rig.peers[0].next_request()).reply_error(ErrorCode.UNAVAILABLE)
        is_first = batch_type is BatchType.LOGGED and not condition
        assert await outcome(rig, request, 0) == ("sent again" if is_first else "RETHROW")


@pytest.mark.parametrize("failure", ["server", "lost"])
async def test_ignored_failure_of_a_prepare_is_raised(failure: str) -> None:
    async with nodes() as rig:
        options = rig.call_options(retry_policy=Decided(RetryPolicy.IGNORE))
        request = rig.builder.prepare("SELECT v FROM t", None, options)
        request.start()
        asked = await rig.peers[0].next_request()
        asked.drop() if failure == "lost" else asked.reply_error(ErrorCode.OVERLOADED)
        with pytest.raises(exceptions.QueryError):
            await request


@pytest.mark.parametrize(
    "answer",
    [
        None,
        7,
        "RETRY",
        (None, None),
        (),
        [0],
        (5, None, 1.0),
        (RetryPolicy.RETRY, "QUORUM"),
        (RetryPolicy.RETRY_NEXT_HOST, 70000),
        (RetryPolicy.RETRY, -1),
        (RetryPolicy.RETRY, 1.5),
        (RetryPolicy.RETRY, None, "soon"),
    ],
)
async def test_answer_that_is_no_decision_is_refused_by_name(answer: Any) -> None:
    async with nodes() as rig:
        request = started(rig, "read", Decided(answer))
        (await rig.peers[0].next_request()).reply_error(ErrorCode.READ_TIMEOUT)
        with pytest.raises(exceptions.ConfigurationError, match="retry_policy"):
            await request
        await rig.check_quiet()


async def test_consistency_of_a_retry_is_used_after_any_error() -> None:
    async with nodes() as rig:
        for code in (ErrorCode.SERVER, ErrorCode.READ_FAILURE, ErrorCode.UNAVAILABLE):
            policy = Decided((RetryPolicy.RETRY, ConsistencyLevel.TWO))
            request = started(rig, "read", policy)
            (await rig.peers[0].next_request()).reply_error(code)
            await rig.settle()
            rig.advance(faults.LONGEST_BACKOFF)
            again = await rig.peers[0].next_request()
            assert again.consistency == ConsistencyLevel.TWO
            again.reply_void()
            await request
