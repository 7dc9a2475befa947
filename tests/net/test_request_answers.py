"""What a server answers, and what the user gets of it."""

import uuid
from typing import Any

import cassandra
import pytest
from cassandra import ConsistencyLevel, protocol
from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    FallthroughRetryPolicy,
    RetryPolicy,
)

from async_cassandra import exceptions
from async_cassandra._net.errors import ConnectionLost
from async_cassandra._request.request import State
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import (
    INT_ROW,
    InOrder,
    nodes,
    nothing_more,
    until,
    values,
)

pytestmark = pytest.mark.anyio

ERRORS: dict[ErrorCode, type[Exception]] = {
    ErrorCode.SERVER: protocol.ServerError,
    ErrorCode.PROTOCOL: protocol.ProtocolException,
    ErrorCode.BAD_CREDENTIALS: cassandra.AuthenticationFailed,
    ErrorCode.UNAVAILABLE: cassandra.Unavailable,
    ErrorCode.OVERLOADED: exceptions.OverloadedError,
    ErrorCode.IS_BOOTSTRAPPING: protocol.IsBootstrappingErrorMessage,
    ErrorCode.TRUNCATE: protocol.TruncateError,
    ErrorCode.WRITE_TIMEOUT: cassandra.WriteTimeout,
    ErrorCode.READ_TIMEOUT: cassandra.ReadTimeout,
    ErrorCode.READ_FAILURE: cassandra.ReadFailure,
    ErrorCode.FUNCTION_FAILURE: cassandra.FunctionFailure,
    ErrorCode.WRITE_FAILURE: cassandra.WriteFailure,
    ErrorCode.CDC_WRITE_FAILURE: cassandra.CDCWriteFailure,
    ErrorCode.CAS_WRITE_UNKNOWN: exceptions.CasWriteUnknown,
    ErrorCode.SYNTAX: protocol.SyntaxException,
    ErrorCode.UNAUTHORIZED: cassandra.Unauthorized,
    ErrorCode.INVALID: cassandra.InvalidRequest,
    ErrorCode.CONFIG: protocol.ConfigurationException,
    ErrorCode.ALREADY_EXISTS: cassandra.AlreadyExists,
    ErrorCode.UNPREPARED: protocol.PreparedQueryNotFound,
}


def test_every_error_code_has_an_exception_here() -> None:
    assert set(ERRORS) == set(ErrorCode)


@pytest.mark.parametrize("code", ERRORS, ids=lambda code: code.name.lower())
async def test_every_error_code_reaches_the_user_as_both_classes(code: ErrorCode) -> None:
    async with nodes() as rig:
        request = rig.write(retry_policy=FallthroughRetryPolicy())
        (await rig.peers[0].next_request()).reply_error(code, "why it failed")
        with pytest.raises(ERRORS[code]) as caught:
            await request
        assert isinstance(caught.value, exceptions.QueryError)
        assert "why it failed" in str(caught.value)
        assert caught.value.endpoint == rig.pools[0].endpoint
        assert caught.value.attempts == 1
        await rig.check_quiet()


async def test_error_of_an_unknown_code_is_a_query_error() -> None:
    async with nodes() as rig:
        request = rig.read()
        (await rig.peers[0].next_request()).reply_error(0x7777, "from the future")
        with pytest.raises(exceptions.QueryError, match="from the future"):
            await request


@pytest.mark.parametrize("version", [4, 5])
async def test_fields_of_an_error_are_attributes(version: int) -> None:
    async with nodes(version=version) as rig:
        request = rig.write(retry_policy=FallthroughRetryPolicy())
        (await rig.peers[0].next_request()).reply_error(
            ErrorCode.WRITE_FAILURE,
            consistency=ConsistencyLevel.QUORUM,
            received=1,
            block_for=2,
            failures={"127.0.4.9": 3},
            write_type="BATCH",
        )
        with pytest.raises(cassandra.WriteFailure) as caught:
            await request
        error = caught.value
        assert (error.received_responses, error.required_responses, error.failures) == (1, 2, 1)
        assert error.write_type == cassandra.WriteType.BATCH
        assert error.consistency == ConsistencyLevel.QUORUM
        if version == 5:
            assert error.error_code_map == {"127.0.4.9": 3}


async def test_contentions_of_a_cas_timeout_are_an_attribute() -> None:
    async with nodes() as rig:
        request = rig.write(retry_policy=FallthroughRetryPolicy())
        (await rig.peers[0].next_request()).reply_error(
            ErrorCode.WRITE_TIMEOUT, write_type="CAS", contentions=7
        )
        with pytest.raises(cassandra.WriteTimeout) as caught:
            await request
        assert vars(caught.value)["contentions"] == 7


async def test_payload_of_other_classes_is_taken_before_the_request_is_written() -> None:
    class Text(str):
        def encode(self, *_: Any) -> Any:
            raise AssertionError("not the text itself")

    class Sending(bytes):
        def __buffer__(self, flags: int) -> memoryview:
            others.append(rig.read())
            return memoryview(b"changed")

    others: list[Any] = []
    async with nodes(1) as rig:
        payload = {Text("key"): Sending(b"value"), b"two": bytearray(b"2"), "none": None}
        request = rig.read(custom_payload=payload)
        for other in [*others, request]:
            asked = await rig.peers[0].next_request()
            assert asked.custom_payload == (
                {"key": b"changed", "two": b"2", "none": None} if other is request else {}
            )
            asked.reply_rows(INT_ROW, [(7,)])
            await other
        assert len(others) == 1


@pytest.mark.parametrize("version", [4, 5])
async def test_warnings_payload_and_tracing_id_reach_the_response(version: int) -> None:
    tracing_id = uuid.uuid4()
    async with nodes(version=version) as rig:
        request = rig.read(trace=True, custom_payload={"key": b"\0\1"})
        asked = await rig.peers[0].next_request()
        assert asked.tracing
        assert asked.custom_payload == {"key": b"\0\1"}
        asked.reply_rows(
            INT_ROW,
            [(7,)],
            warnings=["slow", "large"],
            custom_payload={"back": b"x", "none": None},
            tracing_id=tracing_id,
        )
        await request
        response = request.response
        assert response is not None
        assert response.warnings == ["slow", "large"]
        assert response.custom_payload == {"back": b"x", "none": None}
        assert response.tracing_id == tracing_id.bytes
        assert values(request) == [7]


# Losses


async def test_unmarked_write_lost_after_sending_fails_and_was_sent_once() -> None:
    async with nodes(2) as rig:
        request = rig.write()
        (await rig.peers[0].next_request()).drop()
        with pytest.raises(
            exceptions.QueryError, match="may or may not have been executed"
        ) as caught:
            await request
        assert isinstance(caught.value, ConnectionError)
        assert caught.value.attempts == 1
        await nothing_more(rig)


async def test_write_lost_before_the_flush_goes_elsewhere() -> None:
    async with nodes(2) as rig:
        request = rig.write()
        rig.connection(0).abort(ConnectionLost("cut before the flush"))
        asked = await rig.peers[1].next_request()
        asked.reply_void()
        await request
        await until(lambda: rig.pools[0].connections)
        await nothing_more(rig)


async def test_read_lost_after_sending_goes_on_elsewhere() -> None:
    async with nodes(2) as rig:
        request = rig.read()
        (await rig.peers[0].next_request()).drop()
        (await rig.peers[1].next_request()).reply_rows(INT_ROW, [(3,)])
        await request
        assert values(request) == [3]


async def test_read_lost_on_the_only_node_waits_for_its_next_connection() -> None:
    async with nodes() as rig:
        request = rig.read()
        (await rig.peers[0].next_request()).drop()
        again = await rig.peers[0].next_request()
        again.reply_rows(INT_ROW, [(4,)])
        await request
        assert values(request) == [4]


async def test_read_that_kills_every_connection_is_given_up() -> None:
    async with nodes() as rig:
        request = rig.read(retry_policy=RetryPolicy())
        for _ in range(5):
            (await rig.peers[0].next_request()).drop()
        with pytest.raises(exceptions.ConnectionError):
            await request
        await nothing_more(rig)


# Speculation and the attempt limit


async def test_first_answer_wins_and_the_losers_id_stays_reserved() -> None:
    policy = ConstantSpeculativeExecutionPolicy(0.1, 2)
    async with nodes(3) as rig:
        request = rig.read(speculation=policy)
        first = await rig.peers[0].next_request()
        rig.advance(0.101)
        second = await rig.peers[1].next_request()
        rig.advance(0.101)
        third = await rig.peers[2].next_request()
        rig.advance(5.0)
        await nothing_more(rig)
        second.reply_rows(INT_ROW, [(2,)])
        await request
        assert values(request) == [2]
        assert request.coordinator is rig.pools[1]
        assert [rig.connection(i).orphans for i in range(3)] == [1, 0, 1]
        await rig.check_quiet(first, third)


async def test_losing_attempts_are_counted_and_their_answers_dropped() -> None:
    async with nodes(2) as rig:
        request = rig.read(speculation=ConstantSpeculativeExecutionPolicy(0.1, 2))
        loser = await rig.peers[0].next_request()
        rig.advance(0.101)
        (await rig.peers[1].next_request()).reply_rows(INT_ROW, [(2,)])
        await request
        assert (rig.executor.hedges, rig.executor.superseded) == (1, 1)
        loser.reply_rows(INT_ROW, [(1,)])
        await rig.settle()
        assert values(request) == [2]
        assert [rig.connection(i).late for i in range(2)] == [1, 0]
        await rig.check_quiet()


async def test_unmarked_write_is_not_speculated() -> None:
    async with nodes(2) as rig:
        request = rig.write(speculation=ConstantSpeculativeExecutionPolicy(0.1, 2))
        first = await rig.peers[0].next_request()
        rig.advance(9.0)
        await nothing_more(rig)
        first.reply_void()
        await request


async def test_attempt_limit_asks_the_next_node() -> None:
    async with nodes(2) as rig:
        request = rig.read(timeout=10.0)
        first = await rig.peers[0].next_request()
        rig.advance(2.9)
        await nothing_more(rig)
        rig.advance(0.2)
        (await rig.peers[1].next_request()).reply_rows(INT_ROW, [(2,)])
        await request
        assert rig.executor.hedges == 1
        await rig.check_quiet(first)


async def test_error_of_one_attempt_leaves_the_other_a_chance() -> None:
    async with nodes(2) as rig:
        request = rig.read()
        first = await rig.peers[0].next_request()
        rig.advance(3.1)
        (await rig.peers[1].next_request()).reply_error(ErrorCode.READ_TIMEOUT)
        await rig.settle()
        assert request.state == State.WAITING
        first.reply_rows(INT_ROW, [(1,)])
        await request
        assert values(request) == [1]


async def test_statement_error_of_one_attempt_ends_all() -> None:
    async with nodes(2) as rig:
        request = rig.read()
        first = await rig.peers[0].next_request()
        rig.advance(3.1)
        (await rig.peers[1].next_request()).reply_error(ErrorCode.INVALID)
        with pytest.raises(cassandra.InvalidRequest):
            await request
        await rig.check_quiet(first)


# Where it goes


async def test_pinned_request_asks_that_node_only() -> None:
    async with nodes(3) as rig:
        request = rig.read(pinned=[rig.pools[2]])
        asked = await rig.peers[2].next_request()
        rig.advance(9.0)
        await nothing_more(rig)
        asked.reply_error(ErrorCode.READ_FAILURE)
        with pytest.raises(cassandra.ReadFailure):
            await request
        await nothing_more(rig)


async def test_suspect_connection_is_asked_last() -> None:
    async with nodes(2) as rig:
        rig.connection(0).suspect = True
        request = rig.read()
        (await rig.peers[1].next_request()).reply_void()
        await request
        rig.connection(1).suspect = True
        alone = rig.read()
        (await rig.peers[0].next_request()).reply_void()
        await alone


async def test_policy_that_raises_at_the_start_reaches_the_caller() -> None:
    class Broken(InOrder):
        def make_query_plan(self, *args: Any, **kwargs: Any) -> Any:
            raise LookupError("no plan")

    async with nodes() as rig:
        with pytest.raises(LookupError, match="no plan"):
            rig.read(policy=Broken([]))
        await rig.check_quiet()
