"""Statements that nodes forget: prepared again within the life of the requests that find out."""

import asyncio

import pytest

from async_cassandra import exceptions
from async_cassandra._driver.control_plane import schema_event
from tests.support.native_protocol import Opcode
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import INT_ROW, nodes, nothing_more, until, values

pytestmark = pytest.mark.anyio

KEY = [("k", "int")]
TWO_COLUMNS = [("v", "int"), ("w", "text")]


async def test_many_requests_wait_for_one_prepare() -> None:
    async with nodes() as rig:
        statement = await rig.prepare()
        requests = [rig.execute(statement, [k]) for k in range(50)]
        asked = [await rig.peers[0].next_request(Opcode.EXECUTE) for _ in requests]
        for execute in asked:
            execute.reply_error(ErrorCode.UNPREPARED)
        prepare = await rig.peers[0].next_request(Opcode.PREPARE)
        await rig.settle()
        assert rig.peers[0].waiting_requests == 0
        prepare.reply_prepared(b"id", KEY, INT_ROW)
        for _ in requests:
            execute = await rig.peers[0].next_request(Opcode.EXECUTE)
            value = execute.values[0]
            assert isinstance(value, bytes)
            execute.reply_rows(INT_ROW, [(int.from_bytes(value),)], metadata=False)
        await asyncio.gather(*requests)
        assert [values(request) for request in requests] == [[k] for k in range(50)]
        await rig.check_quiet()


async def test_each_node_is_taught_by_its_own_prepare() -> None:
    async with nodes(2) as rig:
        statement = await rig.prepare()
        requests = [rig.execute(statement, [1], pinned=[pool]) for pool in rig.pools]
        for peer in rig.peers:
            (await peer.next_request(Opcode.EXECUTE)).reply_error(ErrorCode.UNPREPARED)
        for peer in rig.peers:
            (await peer.next_request(Opcode.PREPARE)).reply_prepared(b"id", KEY, INT_ROW)
        for peer in rig.peers:
            (await peer.next_request(Opcode.EXECUTE)).reply_rows(INT_ROW, [(1,)])
        await asyncio.gather(*requests)


async def test_refused_prepare_fails_every_request_that_waits() -> None:
    async with nodes() as rig:
        statement = await rig.prepare()
        requests = [rig.execute(statement, [k]) for k in range(3)]
        for _ in requests:
            (await rig.peers[0].next_request()).reply_error(ErrorCode.UNPREPARED)
        prepare = await rig.peers[0].next_request(Opcode.PREPARE)
        prepare.reply_error(ErrorCode.INVALID, "table t does not exist")
        for request in requests:
            with pytest.raises(exceptions.QueryError, match="table t does not exist"):
                await request
        await rig.check_quiet()


async def test_connection_lost_while_preparing_sends_even_a_write_elsewhere() -> None:
    async with nodes(2) as rig:
        statement = await rig.prepare("UPDATE t SET v = v + 1 WHERE k = ?")
        request = rig.execute(statement, [1])
        (await rig.peers[0].next_request(Opcode.EXECUTE)).reply_error(ErrorCode.UNPREPARED)
        (await rig.peers[0].next_request(Opcode.PREPARE)).drop()
        (await rig.peers[1].next_request(Opcode.EXECUTE)).reply_void()
        await request
        await until(lambda: rig.pools[0].connections)
        await rig.check_quiet()


async def test_cancelled_request_leaves_the_prepare_to_the_others() -> None:
    async with nodes() as rig:
        statement = await rig.prepare()
        first, second = rig.execute(statement, [1]), rig.execute(statement, [2])
        for _ in range(2):
            (await rig.peers[0].next_request()).reply_error(ErrorCode.UNPREPARED)
        prepare = await rig.peers[0].next_request(Opcode.PREPARE)
        first.cancel()
        prepare.reply_prepared(b"id", KEY, INT_ROW)
        (await rig.peers[0].next_request(Opcode.EXECUTE)).reply_rows(INT_ROW, [(2,)])
        await second
        await rig.check_quiet()


async def test_deadline_counts_while_preparing() -> None:
    async with nodes() as rig:
        statement = await rig.prepare()
        request = rig.execute(statement, [1], timeout=2.0)
        (await rig.peers[0].next_request()).reply_error(ErrorCode.UNPREPARED)
        prepare = await rig.peers[0].next_request(Opcode.PREPARE)
        rig.advance(2.1)
        with pytest.raises(exceptions.QueryTimeoutError):
            await request
        prepare.reply_prepared(b"id", KEY, INT_ROW)
        await rig.settle()
        assert rig.peers[0].waiting_requests == 0
        await rig.check_quiet()


async def test_changed_id_fails_the_request_with_what_to_do() -> None:
    async with nodes() as rig:
        statement = await rig.prepare()
        request = rig.execute(statement, [1])
        (await rig.peers[0].next_request()).reply_error(ErrorCode.UNPREPARED)
        prepare = await rig.peers[0].next_request(Opcode.PREPARE)
        prepare.reply_prepared(b"another", KEY, INT_ROW)
        with pytest.raises(exceptions.StatementChangedError, match="Prepare it again"):
            await request


async def test_changed_parameters_fail_the_request() -> None:
    async with nodes() as rig:
        statement = await rig.prepare()
        request = rig.execute(statement, [1])
        (await rig.peers[0].next_request()).reply_error(ErrorCode.UNPREPARED)
        prepare = await rig.peers[0].next_request(Opcode.PREPARE)
        prepare.reply_prepared(b"id", [("k", "text")], INT_ROW)
        with pytest.raises(exceptions.StatementChangedError, match="other types"):
            await request


async def test_changed_columns_are_sent_and_decoded_by_the_new_shape() -> None:
    async with nodes() as rig:
        statement = await rig.prepare(result_metadata_id=b"one")
        request = rig.execute(statement, [1])
        first = await rig.peers[0].next_request()
        assert first.result_metadata_id == b"one"
        first.reply_error(ErrorCode.UNPREPARED)
        prepare = await rig.peers[0].next_request(Opcode.PREPARE)
        prepare.reply_prepared(b"id", KEY, TWO_COLUMNS, result_metadata_id=b"two")
        again = await rig.peers[0].next_request(Opcode.EXECUTE)
        assert again.result_metadata_id == b"two"
        again.reply_rows(TWO_COLUMNS, [(1, "x")], metadata=False)
        await request
        response = request.response
        assert response is not None
        assert response.page is not None
        assert tuple(response.page[0]) == (1, "x")


async def test_node_that_keeps_forgetting_is_given_up() -> None:
    async with nodes() as rig:
        statement = await rig.prepare()
        request = rig.execute(statement, [1])
        for _ in range(3):
            (await rig.peers[0].next_request(Opcode.EXECUTE)).reply_error(ErrorCode.UNPREPARED)
            prepare = await rig.peers[0].next_request(Opcode.PREPARE)
            prepare.reply_prepared(b"id", KEY, INT_ROW)
        (await rig.peers[0].next_request(Opcode.EXECUTE)).reply_error(ErrorCode.UNPREPARED)
        with pytest.raises(exceptions.QueryError):
            await request
        await rig.check_quiet()


async def test_unknown_id_is_that_requests_error_alone() -> None:
    async with nodes() as rig:
        statement = await rig.prepare()
        requests = [rig.execute(statement, [1]), rig.read()]
        for request in requests:
            (await rig.peers[0].next_request()).reply_error(
                ErrorCode.UNPREPARED, prepared_id=b"never sent"
            )
            with pytest.raises(exceptions.QueryError):
                await request
        assert not rig.connection().closed
        await rig.check_quiet()


async def test_prepare_answered_by_rows_fails_only_who_waits_for_it() -> None:
    async with nodes(2) as rig:
        statement = await rig.prepare()
        request = rig.execute(statement, [1])
        (await rig.peers[0].next_request()).reply_error(ErrorCode.UNPREPARED)
        (await rig.peers[0].next_request(Opcode.PREPARE)).reply_rows(INT_ROW, [(1,)])
        with pytest.raises(exceptions.ProtocolError, match="rows for a request that has none"):
            await request
        await nothing_more(rig)
        assert not rig.connection().closed


# Metadata


async def test_changed_flag_replaces_the_shape_for_later_requests() -> None:
    async with nodes() as rig:
        statement = await rig.prepare(result_metadata_id=b"one")
        first, second = rig.execute(statement, [1]), rig.execute(statement, [2])
        asked = [await rig.peers[0].next_request() for _ in range(2)]
        assert [execute.skip_metadata for execute in asked] == [True, True]
        asked[0].reply_rows(TWO_COLUMNS, [(1, "x")], new_metadata_id=b"two")
        asked[1].reply_rows(INT_ROW, [(2,)], metadata=False)
        await first
        response = first.response
        assert response is not None
        assert response.page is not None
        assert tuple(response.page[0]) == (1, "x")
        await second
        assert values(second) == [2]
        third = rig.execute(statement, [3])
        execute = await rig.peers[0].next_request()
        assert execute.result_metadata_id == b"two"
        execute.reply_rows(TWO_COLUMNS, [(3, "z")], metadata=False)
        await third
        response = third.response
        assert response is not None
        assert response.page is not None
        assert tuple(response.page[0]) == (3, "z")


async def test_metadata_without_the_flag_is_used_once() -> None:
    async with nodes() as rig:
        statement = await rig.prepare(result_metadata_id=b"one")
        first = rig.execute(statement, [1])
        applied = [("[applied]", "boolean"), ("v", "int")]
        (await rig.peers[0].next_request()).reply_rows(applied, [(False, 9)])
        await first
        response = first.response
        assert response is not None
        assert response.page is not None
        assert tuple(response.page[0]) == (False, 9)
        second = rig.execute(statement, [2])
        execute = await rig.peers[0].next_request()
        assert execute.result_metadata_id == b"one"
        execute.reply_rows(INT_ROW, [(2,)], metadata=False)
        await second
        assert values(second) == [2]


async def test_v4_never_skips_metadata_and_sends_no_id() -> None:
    async with nodes(version=4) as rig:
        statement = await rig.prepare()
        request = rig.execute(statement, [1])
        execute = await rig.peers[0].next_request()
        assert not execute.skip_metadata
        assert execute.result_metadata_id is None
        execute.reply_rows(TWO_COLUMNS, [(1, "after ALTER")])
        await request
        response = request.response
        assert response is not None
        assert response.page is not None
        assert tuple(response.page[0]) == (1, "after ALTER")


async def test_fewer_columns_than_announced_fail_the_request() -> None:
    async with nodes() as rig:
        statement = await rig.prepare()
        request = rig.execute(statement, [1])
        execute = await rig.peers[0].next_request()
        execute.reply_rows(TWO_COLUMNS, [(1, "x")], metadata=False)
        with pytest.raises(exceptions.ProtocolError, match="2 columns where 1 were announced"):
            await request
        await nothing_more(rig)
        assert not rig.connection().closed


async def test_string_is_forgotten_when_its_own_table_changes() -> None:
    query = "SELECT v FROM t WHERE k = ?"
    async with nodes() as rig:
        preparer = rig.preparer
        preparing = asyncio.ensure_future(preparer.string(None, query, rig.call_options()))
        (await rig.peers[0].next_request(Opcode.PREPARE)).reply_prepared(b"id", KEY, INT_ROW)
        statement = await preparing
        rig.known.on_schema_change(schema_event("UPDATED", "TABLE", "ks", "other"))
        assert preparer.hidden(None, query) is statement
        rig.known.on_schema_change(schema_event("UPDATED", "TABLE", "ks", "t"))
        assert preparer.hidden(None, query) is None
