"""Users in Cassandra: the schema, the statements, and what each of them promises.

An e-mail address belongs to one user at a time. Cassandra has no unique columns, so the address is
the key of a second table, and a lightweight transaction claims it before a user is written. A user
changes by a transaction on its version: of two changes at once one wins, the other one is told.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID, uuid4

from cassandra import ConsistencyLevel
from cassandra.query import BatchType

from async_cassandra import (
    AsyncCassandraSession,
    AsyncStreamingResultSet,
    BatchStatement,
    PreparedStatement,
    StreamConfig,
)
from async_cassandra.exceptions import QueryError

from .models import NewUser, User

logger: logging.Logger = logging.getLogger(__name__)

TABLES = (
    """CREATE TABLE IF NOT EXISTS users (
        id uuid PRIMARY KEY, email text, name text, age int, version int, created timestamp)""",
    "CREATE TABLE IF NOT EXISTS user_by_email (email text PRIMARY KEY, id uuid)",
)
# Who has created a user finds it, whichever replicas are asked and while one of three is down.
CONSISTENCY = ConsistencyLevel.LOCAL_QUORUM
COLUMNS = "id, email, name, age, version, created"
SELECT_ALL = f"SELECT {COLUMNS} FROM users"


class Conflict(Exception):
    """Somebody else has the e-mail address, or changed the user meanwhile."""


class NotFound(Exception):
    """There is no such user."""


@dataclass(frozen=True, slots=True)
class Statements:
    """Every statement that the application executes, prepared."""

    select: PreparedStatement
    insert: PreparedStatement
    update: PreparedStatement
    delete: PreparedStatement
    claim: PreparedStatement
    release: PreparedStatement
    scan: PreparedStatement


class Users:
    """The users of a session's keyspace."""

    def __init__(self, session: AsyncCassandraSession, statements: Statements) -> None:
        self._session = session
        self._statements = statements

    @classmethod
    async def open(cls, session: AsyncCassandraSession) -> Self:
        """Create the tables where they are missing, and prepare."""
        for table in TABLES:
            await session.execute(table)
        texts = (
            f"SELECT {COLUMNS} FROM users WHERE id = ?",
            f"INSERT INTO users ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
            "UPDATE users SET email = ?, name = ?, age = ?, version = ? WHERE id = ? IF version = ?",
            "DELETE FROM users WHERE id = ? IF version = ?",
            "INSERT INTO user_by_email (email, id) VALUES (?, ?) IF NOT EXISTS",
            "DELETE FROM user_by_email WHERE email = ? IF id = ?",
            SELECT_ALL,
        )
        prepared = await asyncio.gather(*map(session.prepare, texts))
        for statement in prepared:
            statement.consistency_level = CONSISTENCY
        statements = Statements(*prepared)
        # The same row written twice is the same row: a lost answer may be asked for again.
        statements.insert.is_idempotent = True
        return cls(session, statements)

    async def create(self, new: NewUser) -> User:
        """
        :raises Conflict: if the address belongs to another user
        """
        return (await self.create_all([new]))[0]

    async def create_all(self, new_users: Iterable[NewUser]) -> list[User]:
        """Claim each address, then write all users in one logged batch: all or none.

        :raises Conflict: if an address belongs to another user; nothing is created then
        """
        now = datetime.now(UTC)
        # Cassandra keeps milliseconds.
        created = now.replace(microsecond=now.microsecond // 1000 * 1000)
        users = [
            User(**new.model_dump(), id=uuid4(), version=1, created=created) for new in new_users
        ]
        claims = await asyncio.gather(
            *(self._claim(user.email, user.id) for user in users), return_exceptions=True
        )
        failed = [claim for claim in claims if isinstance(claim, BaseException)]
        if failed:
            mine = [user for user, claim in zip(users, claims, strict=True) if claim is None]
            await self._release(*((user.email, user.id) for user in mine))
            raise failed[0]
        # Where this fails it may have been applied all the same: the addresses stay claimed.
        batch = BatchStatement(BatchType.LOGGED, consistency_level=CONSISTENCY)
        for user in users:
            batch.add(self._statements.insert, values_of(user))
        await self._session.execute_batch(batch)
        return users

    async def read(self, user_id: UUID) -> User:
        """
        :raises NotFound: if there is none
        """
        row = (await self._session.execute(self._statements.select, (user_id,))).one()
        if row is None:
            raise NotFound
        return user_of(row)

    async def page(self, size: int, token: bytes | None) -> tuple[list[User], bytes | None]:
        """Some users, in the order of the server, and the token of those after them.

        :param token: from the page before; ``None`` for the first one
        """
        stream = await self._session.execute_stream(
            self._statements.scan,
            stream_config=StreamConfig(fetch_size=size, max_pages=1),
            paging_state=token,
        )
        async with stream:
            return [user_of(row) async for row in stream], stream.paging_state

    async def stream(
        self, page_size: int, on_page: Callable[[int, int], object]
    ) -> AsyncStreamingResultSet:
        """Every user, page by page.

        :param on_page: called with each page's number and its rows when Cassandra has sent it
        """
        config = StreamConfig(fetch_size=page_size, page_callback=on_page)
        return await self._session.execute_stream(self._statements.scan, stream_config=config)

    async def change(
        self, user_id: UUID, fields: Mapping[str, Any], version: int | None = None
    ) -> User:
        """Give a user other fields.

        :param version: what the caller has read; ``None`` takes the present one
        :raises NotFound: if there is none
        :raises Conflict: if it has another version, or the address belongs to somebody else
        """
        old = await self.read(user_id)
        if version not in (None, old.version):
            raise Conflict(f"The user has version {old.version} now.")
        new = old.model_copy(update={**fields, "version": old.version + 1})
        if new.email != old.email:
            await self._claim(new.email, user_id)
        values = (new.email, new.name, new.age, new.version, user_id, old.version)
        result = await self._session.execute(self._statements.update, values)
        gone, kept = (old, new) if result.was_applied else (new, old)
        if gone.email != kept.email:
            await self._release((gone.email, user_id))
        if not result.was_applied:
            raise Conflict("Somebody else changed the user at the same time.")
        return new

    async def delete(self, user_id: UUID, version: int | None = None) -> None:
        """
        :param version: what the caller has read; ``None`` takes the present one
        :raises NotFound: if there is none
        :raises Conflict: if it has another version
        """
        old = await self.read(user_id)
        if version not in (None, old.version):
            raise Conflict(f"The user has version {old.version} now.")
        result = await self._session.execute(self._statements.delete, (user_id, old.version))
        if not result.was_applied:
            raise Conflict("Somebody else changed the user at the same time.")
        await self._release((old.email, user_id))

    async def _claim(self, email: str, user_id: UUID) -> None:
        result = await self._session.execute(self._statements.claim, (email, user_id))
        if not result.was_applied and result.one().id != user_id:
            raise Conflict(f"The e-mail address {email} belongs to another user.")

    async def _release(self, *claims: tuple[str, UUID]) -> None:
        """Give addresses back; what fails leaves them claimed, which is logged."""
        for email, user_id in claims:
            try:
                await self._session.execute(self._statements.release, (email, user_id))
            except QueryError:
                logger.warning("The address of %s stays claimed", user_id, exc_info=True)


def values_of(user: User) -> tuple[Any, ...]:
    """A user's values in the order of the columns."""
    return (user.id, user.email, user.name, user.age, user.version, user.created)


def user_of(row: Any) -> User:
    """A user from a row of all columns; Cassandra's times are UTC without saying so."""
    return User.model_construct(**{**row._asdict(), "created": row.created.replace(tzinfo=UTC)})


def user_line(row: Any) -> bytes:
    """A row as a line of JSON."""
    return user_of(row).model_dump_json().encode() + b"\n"
