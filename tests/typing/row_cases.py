"""What a program sees of ``row=``, told to the type checkers; nothing here runs."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, assert_type

import msgspec
import pydantic

from async_cassandra import (
    AsyncCassandraSession,
    AsyncResultSet,
    AsyncStreamingResultSet,
    PreparedStatement,
    RateLimitedSession,
)


@dataclass(frozen=True, slots=True)
class User:
    id: int
    name: str


class Model(pydantic.BaseModel):
    id: int


class Struct(msgspec.Struct):
    id: int


class Typed(TypedDict):
    id: int


class Pair(NamedTuple):
    id: int
    name: str


async def executing(session: AsyncCassandraSession, statement: PreparedStatement) -> None:
    users = await session.execute("SELECT id, name FROM users", row=User)
    assert_type(users, AsyncResultSet[User])
    assert_type(users.one(), User | None)
    assert_type(users[0], User)
    assert_type(users[:2], list[User])
    assert_type(users.all(), list[User])
    assert_type(users.rows, Sequence[User])
    for user in users:
        assert_type(user, User)
    async for user in users:
        assert_type(user.name, str)
    assert_type(await session.execute(statement, (1,), row=Model), AsyncResultSet[Model])
    assert_type(await session.execute(statement, row=Struct), AsyncResultSet[Struct])
    assert_type(await session.execute(statement, row=Typed), AsyncResultSet[Typed])
    assert_type(await session.execute(statement, row=Pair), AsyncResultSet[Pair])
    assert_type(await session.execute(statement, row=int), AsyncResultSet[int])
    assert_type(
        await session.execute(statement, row=dict[str, Any]), AsyncResultSet[dict[str, Any]]
    )
    assert_type(await session.execute(statement, row=None), AsyncResultSet)


async def streaming(session: AsyncCassandraSession, statement: PreparedStatement) -> None:
    stream = await session.execute_stream(statement, (1,), row=User)
    assert_type(stream, AsyncStreamingResultSet[User])
    async with stream as entered:
        async for user in entered:
            assert_type(user, User)
    assert_type(stream.pages(), AsyncIterator[list[User]])
    assert_type(stream.chunks(500), AsyncIterator[list[User]])


async def limited(session: RateLimitedSession) -> None:
    assert_type(await session.execute("SELECT id FROM users", row=int), AsyncResultSet[int])
    stream = await session.execute_stream("SELECT id FROM users", row=int)
    assert_type(stream, AsyncStreamingResultSet[int])


def annotating(
    anything: AsyncResultSet, users: AsyncResultSet[User], stream: AsyncStreamingResultSet
) -> None:
    """Annotations without a parameter are those of rows of any kind."""
    assert_type(anything, AsyncResultSet[Any])
    assert_type(stream, AsyncStreamingResultSet[Any])
    objects: AsyncResultSet[object] = users
    print(anything.one().name, objects)


async def misusing(session: AsyncCassandraSession) -> None:
    users = await session.execute("SELECT id, name FROM users", row=User)
    print(users.one().name)  # type: ignore[union-attr]
    print(users[0].age)  # type: ignore[attr-defined]
    await session.execute("SELECT id FROM users", row=5)  # type: ignore[arg-type]
    await session.execute("SELECT id FROM users", row="User")  # type: ignore[arg-type]
