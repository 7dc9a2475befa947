"""An application's calls, each with what it means and how it may end."""

import asyncio
import itertools
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cassandra import AlreadyExists, InvalidRequest
from cassandra.protocol import SyntaxException
from cassandra.query import BatchStatement as DriverBatchStatement
from cassandra.query import SimpleStatement

from async_cassandra import AsyncCassandraSession
from async_cassandra.exceptions import (
    AsyncCassandraError,
    ConfigurationError,
    ConnectionError,
    OverloadedError,
    ParameterTypeError,
    ParameterValueError,
    QueryError,
    QueryTimeoutError,
    StatementChangedError,
)
from async_cassandra.statements import BatchStatement, BoundStatement, PreparedStatement
from tests.model import intentions as found
from tests.model.cluster import ModelCluster
from tests.model.intentions import Finding, Intention
from tests.model.schema import letters, plain, value_of
from tests.support.cql_values import CqlTypeName

__all__ = ["COLUMN", "Bound", "Call", "Caller", "Held"]

# The second column of each of the model's tables; the first is the key.
COLUMN = {"t": "v", "w": "u", "x": "us"}


@dataclass(slots=True)
class Held:
    """A prepared statement that the application keeps.

    :ivar since: the last change of the schema that it knows of
    :ivar kind: of the second column, as it was then
    """

    statement: PreparedStatement
    keyspace: str
    table: str
    text: str
    since: int
    kind: CqlTypeName

    @property
    def writes(self) -> bool:
        return self.text.startswith("INSERT")


@dataclass(slots=True)
class Bound:
    """A bound statement that the application keeps; it may be executed any number of times."""

    statement: BoundStatement
    intention: Intention


@dataclass(slots=True)
class Call:
    """One call, and what may excuse its failure.

    :ivar disturbances: those that were over when it began
    :ivar cancelled: whether the test asked for its end
    :ivar value_fits: whether what it gives was of the right type when the call was made
    :ivar may_conflict: whether its own keyspace may differ from the session's
    :ivar target: the keyspace that it changes to
    :ivar moves: changes of the session's keyspace that had begun or ended when it began
    """

    label: str
    task: asyncio.Task[Any]
    intentions: list[Intention]
    started: int
    disturbances: int
    timeout: float | None = None
    cancelled: bool = False
    value_fits: bool = True
    may_conflict: bool = False
    target: str | None = None
    moves: int = 0
    settled: bool = False


@dataclass(slots=True)
class Caller:
    """Starts calls on a session, and judges how they end.

    :ivar possible: the keyspaces that the session may be in when nothing is under way
    :ivar changing: calls that change the session's keyspace and of which it is not known yet whether they have
    """

    session: AsyncCassandraSession
    model: ModelCluster
    version: int
    calls: list[Call] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    bound: list[Bound] = field(default_factory=list)
    changing: list[Call] = field(default_factory=list)
    possible: set[str] = field(default_factory=set)
    closing: bool = False
    moves: int = 0
    timeout: float | None = None
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    # What a call means

    def keyspaces(self) -> frozenset[str]:
        """What an unqualified name may mean now; one, unless the session's keyspace is being changed."""
        targets = {call.target for call in self.changing if call.target is not None}
        return frozenset(targets | {self.session.keyspace or ""})

    def _places(self, keyspace: str | None) -> frozenset[str]:
        return self.keyspaces() if keyspace is None else frozenset((keyspace,))

    def _intend(
        self, places: frozenset[str], table: str, text: str, since: int, value: Any = None
    ) -> Intention:
        number = next(self._numbers)
        values = {} if value is None else {"k": number, COLUMN[table]: value}
        meant = Intention(number, places, table, since, self.model.schema.number, text, values)
        return self.model.intend(meant)

    def _kind(self, keyspace: str, table: str) -> CqlTypeName:
        """The type of a table's second column now; of one that is missing, any."""
        known = self.model.schema.table(keyspace, table)
        if known is None:
            return "text"
        return self.model.schema.types_of(known)[COLUMN[table]]

    def _value(self, kind: CqlTypeName) -> Any:
        return value_of(kind, letters("given", self.model.arrivals, len(self.calls)))

    def _insert_text(self, table: str, qualifier: str | None, terms: str) -> str:
        prefix = f"{qualifier}." if qualifier else ""
        return f"INSERT INTO {prefix}{table} (k, {COLUMN[table]}) VALUES ({terms})"

    def _select_text(self, table: str, qualifier: str | None, term: str) -> str:
        return f"SELECT * FROM {f'{qualifier}.' if qualifier else ''}{table} WHERE k = {term}"

    # Calls

    def start(
        self, label: str, awaitable: Awaitable[Any], meant: Sequence[Intention] = (), **facts: Any
    ) -> Call:
        async def run() -> Any:
            return await awaitable

        # It begins now: what it means is what the session's state says at this moment.
        task = asyncio.Task(run(), loop=asyncio.get_running_loop(), eager_start=True)
        call = Call(
            label,
            task,
            list(meant),
            self.model.schema.number,
            self.model.past_disturbances,
            self.timeout,
            moves=self.moves,
            **facts,
        )
        self.calls.append(call)
        task.add_done_callback(lambda _: self._judge(call))
        return call

    def write(
        self,
        form: str,
        table: str,
        qualifier: str | None,
        own: str | None,
        kind: CqlTypeName | None,
    ) -> Call:
        """Write one row by a string.

        :param form: ``plain``, ``%s`` or ``?``
        :param own: the statement's own keyspace
        :param kind: of the value that is given; ``None`` for what the column has
        """
        places = self._places(qualifier or own)
        right = self._kind(min(places), table)
        value = self._value(kind or right)
        facts = {
            "value_fits": all(value_of_type(self._kind(place, table), value) for place in places),
            "may_conflict": self._may_conflict(qualifier, own),
        }
        number = self.model.schema.number
        if form == "?":
            text = self._insert_text(table, qualifier, "?, ?")
            since = min(self.model.since(place, text) for place in places)
            meant = self._intend(places, table, text, since, value)
            parameters = [meant.number, value]
        elif form == "%s":
            text = self._insert_text(table, qualifier, "%s, %s")
            meant = self._intend(places, table, text, number, value)
            parameters = [meant.number, value]
        else:
            meant = self._intend(places, table, "plain", number, value)
            text = self._insert_text(table, qualifier, f"{meant.number}, {literal(value)}")
            parameters = None
        query: Any = SimpleStatement(text, keyspace=own) if own is not None else text
        return self._execute(f"write {form}", query, parameters, [meant], **facts)

    def _may_conflict(self, qualifier: str | None, own: str | None) -> bool:
        return self.version < 5 and own is not None and self.keyspaces() != {own}

    def read(
        self, form: str, table: str, qualifier: str | None, own: str | None, stream: bool
    ) -> Call:
        """Read one row by a string."""
        places = self._places(qualifier or own)
        text = self._select_text(table, qualifier, form)
        since = min(self.model.since(place, text) for place in places)
        meant = self._intend(places, table, text, since)
        parameters: Any = [meant.number]
        if form == "plain":
            text, parameters = self._select_text(table, qualifier, str(meant.number)), None
        query: Any = SimpleStatement(text, keyspace=own) if own is not None else text
        facts = {"may_conflict": self._may_conflict(qualifier, own)}
        return self._execute(f"read {form}", query, parameters, [meant], stream=stream, **facts)

    def _execute(
        self,
        label: str,
        query: Any,
        parameters: Any,
        meant: list[Intention],
        *,
        stream: bool = False,
        **facts: Any,
    ) -> Call:
        async def streamed() -> Any:
            async with await self.session.execute_stream(
                query, parameters, timeout=self.timeout
            ) as rows:
                return [row async for row in rows]

        if stream:
            return self.start(f"stream {label}", streamed(), meant, **facts)
        execution = self.session.execute(query, parameters, timeout=self.timeout)
        return self.start(label, execution, meant, **facts)

    def prepare(self, table: str, qualifier: str | None, *, writes: bool) -> Call:
        places = self._places(qualifier)
        make = self._insert_text if writes else self._select_text
        text = make(table, qualifier, "?, ?" if writes else "?")

        async def prepare() -> None:
            statement = await self.session.prepare(text, timeout=self.timeout)
            keyspace = qualifier or statement.keyspace or ""
            if keyspace not in places:
                self._find(
                    found.WrongKeyspace, f"{text!r} was prepared in {keyspace}, not {places}"
                )
            since = self.model.since(keyspace, text)
            kind = self._kind(keyspace, table)
            self.held.append(Held(statement, keyspace, table, text, since, kind))

        meant = self._intend(places, table, text, self.model.schema.number)
        return self.start("prepare", prepare(), [meant])

    def execute_held(self, held: Held, *, stream: bool = False, repeatable: bool = False) -> Call:
        """Execute a prepared statement, by its own values or, if it reads, by its key."""
        meant, parameters = self._held_values(held)
        meant.repeatable = repeatable or not held.writes
        query = held.statement
        if repeatable:
            query = query.bind(parameters)  # type: ignore[assignment]
            query.is_idempotent = True
            parameters = None
        return self._execute("prepared", query, parameters, [meant], stream=stream)

    def _held_values(self, held: Held) -> tuple[Intention, list[Any] | None]:
        places = frozenset((held.keyspace,))
        if not held.writes:
            meant = self._intend(places, held.table, held.text, held.since)
            return meant, [meant.number]
        value = self._value(held.kind)
        meant = self._intend(places, held.table, held.text, held.since, value)
        return meant, [meant.number, value]

    def bind(self, held: Held) -> Bound | None:
        """Bind values now, to be executed later."""
        meant, parameters = self._held_values(held)
        meant.repeatable = True
        try:
            bound = Bound(held.statement.bind(parameters), meant)
        except (ParameterTypeError, ParameterValueError, StatementChangedError) as error:
            self._judge_error(Call("bind", None, [meant], held.since, 0), error)  # type: ignore[arg-type]
            return None
        self.bound.append(bound)
        return bound

    def execute_bound(self, bound: Bound) -> Call:
        return self._execute("bound", bound.statement, None, [bound.intention])

    def batch(
        self, entries: Sequence[Any], own: str | None, *, of_driver: bool, table: str = "t"
    ) -> Call:
        """Write several rows at once.

        :param entries: ``plain`` and ``?`` for strings, statements that are held or bound
        """
        batch: Any = DriverBatchStatement() if of_driver else BatchStatement()
        places = self._places(own)
        meant: list[Intention] = []
        fits = True
        for entry in entries:
            if isinstance(entry, Bound):
                batch.add(entry.statement)
                meant.append(entry.intention)
            elif isinstance(entry, Held):
                intention, parameters = self._held_values(entry)
                try:
                    batch.add(entry.statement, parameters)
                except (ParameterTypeError, ParameterValueError, StatementChangedError) as error:
                    lone = Call("add", None, [intention], entry.since, 0)  # type: ignore[arg-type]
                    self._judge_error(lone, error)
                    continue
                meant.append(intention)
            else:
                value = self._value(self._kind(min(places), table))
                fits &= all(value_of_type(self._kind(place, table), value) for place in places)
                meant.append(self._add_string(batch, entry, table, places, value))
        batch.keyspace = own
        facts = {"may_conflict": self._may_conflict(None, own), "value_fits": fits}
        return self._execute("batch", batch, None, meant, **facts)

    def _add_string(
        self, batch: Any, form: str, table: str, places: frozenset[str], value: Any
    ) -> Intention:
        number = self.model.schema.number
        if form == "?":
            text = self._insert_text(table, None, "?, ?")
            since = min(self.model.since(place, text) for place in places)
            meant = self._intend(places, table, text, since, value)
            batch.add(text, [meant.number, value])
        else:
            meant = self._intend(places, table, "plain", number, value)
            batch.add(self._insert_text(table, None, f"{meant.number}, {literal(value)}"))
        return meant

    def change_keyspace(self, form: str, target: str) -> Call:
        """Make ``target`` the session's keyspace.

        :param form: ``set_keyspace``, ``USE``, ``comment`` or ``prepared``
        """
        session = self.session

        async def prepared() -> None:
            await session.execute(await session.prepare(f"USE {target}"))

        match form:
            case "set_keyspace":
                changing: Awaitable[Any] = session.set_keyspace(target)
            case "USE":
                changing = session.execute(f"USE {target}", timeout=self.timeout)
            case "comment":
                changing = session.execute(f"-- a\n/* b */ USE {target} ;", timeout=self.timeout)
            case _:
                changing = prepared()
        call = self.start(form, changing, target=target)
        self.possible.add(target)
        self.changing.append(call)
        self.moves += 1
        return call

    def define(self, text: str) -> Call:
        """Change the schema by the application itself."""
        before = self.model.schema.number

        async def define() -> None:
            await self.session.execute(text)
            self.model.knowledge.own_change_returned(text, before)

        return self.start("define", define())

    # How they may end

    def _find(self, kind: type[Finding], what: str) -> None:
        self.model.findings.append(kind(what))

    def _judge(self, call: Call) -> None:
        for intention in call.intentions:
            if call.label != "bound" and not (call.label == "batch" and intention.repeatable):
                self.model.is_over(intention)
        if call.task.cancelled():
            if not call.cancelled:
                self._find(found.UnaskedCancel, f"{call.label} was cancelled by nobody")
            return
        error = call.task.exception()
        if error is None:
            self._judge_result(call)
        else:
            self._judge_error(call, error)

    def _judge_result(self, call: Call) -> None:
        if call.target is not None:
            self.changing.remove(call)
            self.moves += 1
            if not self.changing and call.target != self.session.keyspace:
                said = f"{call.label} to {call.target} returned; the session is in {self.session.keyspace}"
                self._find(found.KeyspacesDisagree, said)
            return
        if call.label in ("prepare", "define"):
            return
        for intention in call.intentions:
            if intention.values:
                if not intention.applied and not self.model.findings:
                    self._find(found.LostWrite, f"{call.label} {intention.describe()}")
            else:
                self._judge_rows(call, intention, list(call.task.result()))

    def _judge_rows(self, call: Call, intention: Intention, rows: list[Any]) -> None:
        got = [(tuple(row._fields), tuple(plain(cell) for cell in row)) for row in rows]
        sent = [(row.names, tuple(row.values)) for row in intention.evaluations]
        if len(got) != 1 or got[0] not in sent:
            said = f"{call.label} {intention.describe()} got {got}, but one of {sent} was sent"
            self._find(found.WrongRow, said)

    def _judge_error(self, call: Call, error: BaseException) -> None:
        if self._is_excused(call, error):
            return
        about = "; ".join(intention.describe() for intention in call.intentions) or call.target
        said = f"{call.label} of {about} ended with {type(error).__name__}: {error}"
        refusals = StatementChangedError | ParameterTypeError | ParameterValueError
        kind = (
            found.NeedlessRefusal
            if isinstance(error, refusals | ConfigurationError)
            else found.UnexpectedError
        )
        self._find(kind, said)

    def _is_excused(self, call: Call, error: BaseException) -> bool:
        disturbed = self.model.disturbances != call.disturbances
        changed = any(self._has_changed(intention) for intention in call.intentions)
        # On v4 nothing can be prepared again while the connections are in another keyspace.
        elsewhere = self.version < 5 and (
            self.moves != call.moves
            or bool(self.changing)
            or any(
                self.session.keyspace not in intention.keyspaces for intention in call.intentions
            )
        )
        if call.target is not None and call.target not in self.model.schema.keyspaces:
            return isinstance(error, AsyncCassandraError)
        match error:
            case QueryTimeoutError():
                return call.timeout is not None
            case StatementChangedError():
                return changed or elsewhere
            case ParameterTypeError() | ParameterValueError():
                return changed or not call.value_fits or self._may_mean_other_types(call)
            case ConfigurationError():
                return call.may_conflict or elsewhere
            case ConnectionError():
                return disturbed or self.closing
            case OverloadedError():
                return False
            case InvalidRequest() | SyntaxException() | AlreadyExists():
                if call.label == "define":
                    return True
                may_not_fit = not call.value_fits or self._may_mean_other_types(call)
                return changed or elsewhere or may_not_fit or self._is_missing(call)
            case QueryError() | AsyncCassandraError():
                return disturbed or elsewhere
        return False

    def _has_changed(self, intention: Intention) -> bool:
        """Whether a change since an intention's bytes were bound may make them unfit."""
        return any(
            not change.fits_before
            for place in intention.keyspaces
            for change in self.model.schema.changes_of(place, intention.table, intention.since)
        )

    def _may_mean_other_types(self, call: Call) -> bool:
        """Whether a call may mean a keyspace whose table has other types than the one its value was made for."""
        schema = self.model.schema
        for intention in call.intentions:
            tables = [schema.table(place, intention.table) for place in intention.keyspaces]
            kinds = {repr(schema.types_of(table)) for table in tables if table is not None}
            if len(kinds) > 1:
                return True
        return False

    def _is_missing(self, call: Call) -> bool:
        schema = self.model.schema
        return any(
            schema.table(place, intention.table) is None
            for intention in call.intentions
            for place in intention.keyspaces
        )


def literal(value: Any) -> str:
    """A value as CQL."""
    if isinstance(value, str):
        return f"'{value}'"
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return repr(value)


def value_of_type(kind: CqlTypeName, value: Any) -> bool:
    """Whether a value is one that the model gives for a type."""
    match kind:
        case "int":
            return isinstance(value, int) and value < 2**31
        case "bigint":
            return isinstance(value, int)
        case "float":
            return isinstance(value, float)
        case "text":
            return isinstance(value, str)
        case "blob":
            return isinstance(value, bytes)
    return isinstance(value, dict | list)
