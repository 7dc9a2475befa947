"""Scripted nodes that know what every request means, and say so when it is not what its caller meant.

Theory. Each connection has the keyspace of its last ``USE``; each node has the statements that were
prepared on it, under the MD5 of their text, after their keyspace's name where they name no keyspace
themselves (as Cassandra 5 does); all nodes have one :class:`~tests.model.schema.Schema`. A request is
given its meaning when it arrives: the table is that of its text, else of its keyspace flag, else of
its connection; bound bytes are read with the types that the table has at that moment. The key of each
row is the number of an :class:`~tests.model.intentions.Intention`, so that the model finds what the
caller meant, whatever the path of the request. A difference is a finding, and nothing is stored.

A change of the schema makes every node forget the statements of the tables that it concerns. Old bytes are
excused as long as the client cannot know better; see :mod:`tests.model.knowledge`.

Replies can be held back and sent in any order; what a request does happens on arrival.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.model import intentions as found
from tests.model.cql import MARKER, Parsed, parse
from tests.model.intentions import Evaluation, Finding, Intention
from tests.model.knowledge import TURNS, Knowledge, Statement, after_turns
from tests.model.schema import Change, Schema, Table, decode_value, fits, letters, value_of
from tests.support.cql_values import CqlTypeName, encode_value
from tests.support.native_protocol import Opcode, Unset, Value, Writer
from tests.support.peer_connection import PeerConnection
from tests.support.peer_replies import ErrorCode
from tests.support.scripted_peer import Automatic, Request, ScriptedPeer

__all__ = ["Held", "ModelCluster", "ModelError"]

NO_RESULT_ID = b"no rows"

# What may be written for a scalar type.
_LITERALS: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "bigint": int,
    "text": str,
    "blob": bytes,
    "float": (int, float),
}

type Reply = Callable[[], None]


class ModelError(Exception):
    """What a server answers with an ERROR."""

    def __init__(self, message: str, code: int = ErrorCode.INVALID) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Prepared:
    """A statement as one node has it; ``keyspace`` is ``None`` where its text needs none."""

    parsed: Parsed
    text: str
    keyspace: str | None
    table: Table | None


@dataclass(slots=True)
class Held:
    """A reply that waits until the test lets it go."""

    connection: PeerConnection
    reply: Reply


class ModelCluster:
    """The meaning of what arrives at scripted nodes.

    :ivar findings: what must not have happened, oldest first
    :ivar holds: which replies wait in :attr:`held`: none, ``all``, ``use``, or ``executed``, those of an
        EXECUTE that worked
    :ivar blunders: reads that get a ``RESULT Set_keyspace``
    :ivar disturbances: connections cut and answers spoiled, of which calls may die
    :ivar past_disturbances: those that the client has noticed
    :ivar events: ``now``, ``late`` (see :meth:`send_events`) or ``never``
    """

    def __init__(self, peers: list[ScriptedPeer], schema: Schema) -> None:
        self.peers = peers
        self.schema = schema
        self.prepared: dict[str, dict[bytes, Prepared]] = {peer.host: {} for peer in peers}
        self.intentions: dict[int, Intention] = {}
        self.findings: list[Finding] = []
        self.holds = ""
        self.held: list[Held] = []
        self.blunders = 0
        self.disturbances = 0
        self.past_disturbances = 0
        self.events = "now"
        self.arrivals = 0
        self.rows: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
        self.knowledge = Knowledge()
        self._unsent: list[Change] = []
        self._texts: dict[bytes, Statement] = {}
        # By statement, the types that a PREPARED said, as of a change.
        self._shown: dict[Statement, list[tuple[int, dict[str, CqlTypeName]]]] = {}
        for peer in peers:
            peer.automatic.discard(Automatic.USE)
            peer.respond_with(self._on_request)

    # What callers announce

    def intend(self, intention: Intention) -> Intention:
        self.intentions[intention.number] = intention
        return intention

    def is_over(self, intention: Intention) -> None:
        """The caller has its outcome: nothing may be sent for it from now on."""

        def end() -> None:
            intention.over = True

        after_turns(TURNS, end)

    def since(self, keyspace: str, text: str) -> int:
        """The last change that the client knows of by having prepared a text."""
        return self.knowledge.prepared.get((keyspace, text), self.schema.number)

    def check(self) -> None:
        """Raise the first finding."""
        if self.findings:
            raise self.findings[0]

    # Changes by whoever it is

    def change(self, change: Change) -> Change:
        """Make the nodes forget what a change concerns, and tell clients of it."""
        for node in self.prepared.values():
            for prepared_id, prepared in list(node.items()):
                if prepared.table is not None and self._concerns(change, prepared.table):
                    del node[prepared_id]
        if change.target == "TABLE" and change.kind == "DROPPED":
            self.rows.pop((change.keyspace, change.name), None)
        if self.events == "now":
            self._push(change)
        elif self.events == "late":
            self._unsent.append(change)
        return change

    def _concerns(self, change: Change, table: Table) -> bool:
        if table.keyspace != change.keyspace:
            return False
        if change.target == "TABLE":
            return table.name == change.name
        return self.schema.uses(table, change.name)

    def recreate(self, keyspace: str, name: str, columns: dict[str, str]) -> None:
        """Another client drops a table, if it is there, and creates it again."""
        if self.schema.table(keyspace, name) is not None:
            self.change(self.schema.drop_table(keyspace, name))
        self.change(self.schema.create_table(keyspace, name, {"k": "int", **columns}))

    def send_events(self) -> None:
        """Send the events that are late."""
        unsent, self._unsent = self._unsent, []
        for change in unsent:
            self._push(change)

    def _push(self, change: Change) -> None:
        for peer in self.peers:
            if any("SCHEMA_CHANGE" in known.event_types for known in peer.open_connections):
                self.knowledge.sent.append(change)
            peer.push_schema_change(change.kind, change.target, change.keyspace, change.name)

    def prepare_elsewhere(self, text: str, keyspace: str | None) -> bytes | None:
        """Another client prepares a text on every node: nobody hears UNPREPARED for it any more."""
        try:
            prepared_id, prepared = self._compile(text, keyspace)
        except ModelError:
            return None
        for node in self.prepared.values():
            node[prepared_id] = prepared
        return prepared_id

    def forget(self, index: int) -> None:
        """One node loses its prepared statements."""
        self.prepared[self.peers[index % len(self.peers)].host].clear()

    def disturb(self) -> None:
        """Excuse calls that are under way, and those that begin before the client has noticed."""

        def end() -> None:
            self.past_disturbances += 1

        self.disturbances += 1
        after_turns(TURNS, end)

    def lose_control_connection(self) -> None:
        """Cut the connection that events come on; those under way are lost."""
        for peer in self.peers:
            for connection in peer.open_connections:
                if connection.event_types:
                    connection.drop()
        self.knowledge.events_are_lost(self.schema.number)

    # Requests

    def _on_request(self, request: Request) -> None:
        self.arrivals += 1
        holds = self._is_held(request)
        try:
            reply = self._answer(request)
        except ModelError as error:
            message, code, number = str(error), error.code, self.schema.number
            holds = holds and self.holds != "executed"

            def reply() -> None:
                request.reply_error(code, message)
                if code == ErrorCode.UNPREPARED and request.prepared_id in self._texts:
                    self.knowledge.tell(self._texts[request.prepared_id], number)

        except Exception as error:
            self.findings.append(Finding(f"the model broke: {error!r} in {request}"))
            raise
        if holds:
            self.held.append(Held(request.connection, reply))
        else:
            reply()

    def _is_held(self, request: Request) -> bool:
        if self.holds == "use":
            known = self.prepared[request.peer.host].get(request.prepared_id or b"")
            parsed = known.parsed if known is not None else parse(request.query or "")
            executes = request.opcode in (Opcode.QUERY, Opcode.EXECUTE)
            return executes and parsed is not None and parsed.kind == "use"
        return self.holds == "all" or (
            self.holds == "executed" and request.opcode is Opcode.EXECUTE
        )

    def release(self, index: int) -> None:
        """Send one held reply, if there is one."""
        if not self.held:
            return
        held = self.held.pop(index % len(self.held))
        if not held.connection.closed.is_set():
            held.reply()

    def release_all(self) -> None:
        self.holds = ""
        while self.held:
            self.release(0)

    def _answer(self, request: Request) -> Reply:
        match request.opcode:
            case Opcode.QUERY:
                return self._query(request)
            case Opcode.PREPARE:
                return self._prepare(request)
            case Opcode.EXECUTE:
                return self._execute(request)
            case Opcode.BATCH:
                return self._batch(request)
        raise ModelError(f"{request.opcode.name} is not expected", ErrorCode.PROTOCOL)

    def _query(self, request: Request) -> Reply:
        parsed = self._parsed(request.query or "")
        if parsed.kind == "use":
            return self._use(request, parsed)
        keyspace = self._keyspace(parsed, request.keyspace or request.connection.keyspace)
        if parsed.kind not in ("insert", "select"):
            return self._define(request, parsed, keyspace)
        table = self._table(parsed, keyspace)
        data = self._literals(parsed, table)
        if parsed.kind == "insert":
            self._insert(table, data, request.query or "")
            return request.reply_void
        return self._select(request, parsed, table, data["k"], None)

    def _parsed(self, text: str) -> Parsed:
        parsed = parse(text)
        if parsed is None:
            raise ModelError(f"the model does not know {text!r}", ErrorCode.SYNTAX)
        return parsed

    def _keyspace(self, parsed: Parsed, default: str | None) -> str:
        keyspace = parsed.keyspace or default
        if keyspace is None:
            raise ModelError("No keyspace has been specified")
        return keyspace

    def _table(self, parsed: Parsed, keyspace: str) -> Table:
        table = self.schema.table(keyspace, parsed.table)
        if table is None:
            raise ModelError(f"table {parsed.table} does not exist in {keyspace}")
        return table

    def _literals(self, parsed: Parsed, table: Table) -> dict[str, bytes | None]:
        types = self.schema.types_of(table)
        self._place(self.intentions.get(parsed.terms[0]), table, "a string")
        data: dict[str, bytes | None] = {}
        columns = parsed.columns if parsed.kind == "insert" else ["k"]
        for name, value in zip(columns, parsed.terms, strict=True):
            kind = self._column(types, name)
            if not isinstance(kind, str) or not isinstance(value, _LITERALS[kind]):
                raise ModelError(f"Invalid constant for {name} of type {kind}")
            data[name] = encode_value(kind, value)
        return data

    def _column(self, types: dict[str, CqlTypeName], name: str) -> CqlTypeName:
        if name not in types:
            raise ModelError(f"Undefined column name {name}")
        return types[name]

    def _use(self, request: Request, parsed: Parsed) -> Reply:
        keyspace = parsed.keyspace or ""
        if keyspace not in self.schema.keyspaces:
            raise ModelError(f"Keyspace '{keyspace}' does not exist")
        request.connection.keyspace = keyspace
        body = Writer().write_int(3).write_string(keyspace).getvalue()
        return lambda: request.reply(Opcode.RESULT, body)

    def _define(self, request: Request, parsed: Parsed, keyspace: str) -> Reply:
        schema, name = self.schema, parsed.table
        match parsed.kind:
            case "create table":
                if schema.table(keyspace, name) is not None:
                    raise ModelError(f"Table {keyspace}.{name} already exists")
                change = schema.create_table(keyspace, name, parsed.definitions)
            case "drop table":
                self._table(parsed, keyspace)
                change = schema.drop_table(keyspace, name)
            case "add column":
                self._table(parsed, keyspace)
                ((column, spec),) = parsed.definitions.items()
                change = schema.add_column(keyspace, name, column, spec)
            case _:
                ((added, spec),) = parsed.definitions.items()
                change = schema.add_field(keyspace, name, added, spec)
        self.knowledge.own[change.number] = request.query or ""
        self.change(change)
        return lambda: request.reply_schema_change(
            change.kind, change.target, change.keyspace, change.name
        )

    # Prepared statements

    def _compile(self, text: str, default: str | None) -> tuple[bytes, Prepared]:
        parsed = self._parsed(text)
        if parsed.kind == "use":
            return hashlib.md5(text.encode()).digest(), Prepared(parsed, text, None, None)
        keyspace = self._keyspace(parsed, default)
        table = self._table(parsed, keyspace)
        hashed = text if parsed.keyspace is not None else keyspace + text
        prepared = Prepared(parsed, text, keyspace, table)
        types = self.schema.types_of(table)
        for name in parsed.columns:
            if name != "*":
                self._column(types, name)
        return hashlib.md5(hashed.encode()).digest(), prepared

    def _prepare(self, request: Request) -> Reply:
        default = request.keyspace or request.connection.keyspace
        prepared_id, prepared = self._compile(request.query or "", default)
        self.prepared[request.peer.host][prepared_id] = prepared
        evaluated = self.schema.number
        if prepared.table is None:
            return lambda: request.reply_prepared(prepared_id, result_metadata_id=NO_RESULT_ID)
        table = prepared.table
        self._texts[prepared_id] = (table.keyspace, prepared.text)
        bound, columns, result_id = self._shapes(prepared)

        def reply() -> None:
            request.reply_prepared(
                prepared_id,
                bound,
                columns,
                pk_indexes=[[name for name, _ in bound].index("k")],
                result_metadata_id=result_id,
                table=(table.keyspace, table.name),
            )
            statement = (table.keyspace, prepared.text)
            self.knowledge.prepared[statement] = evaluated
            self._shown.setdefault(statement, []).append((evaluated, dict(bound)))
            self.knowledge.tell(statement, evaluated)

        return reply

    def _shapes(
        self, prepared: Prepared
    ) -> tuple[list[tuple[str, CqlTypeName]], list[tuple[str, CqlTypeName]] | None, bytes]:
        """The columns of the markers and of the result, and the id of the latter."""
        assert prepared.table is not None
        types = self.schema.types_of(prepared.table)
        parsed = prepared.parsed
        named = parsed.columns if parsed.kind == "insert" else ["k"]
        pairs = zip(named, parsed.terms, strict=True)
        bound = [(name, types[name]) for name, term in pairs if term is MARKER]
        if parsed.kind == "insert":
            return bound, None, NO_RESULT_ID
        columns = self._result_columns(parsed, types)
        return bound, columns, hashlib.md5(repr(columns).encode()).digest()

    def _result_columns(
        self, parsed: Parsed, types: dict[str, CqlTypeName]
    ) -> list[tuple[str, CqlTypeName]]:
        names = list(types) if parsed.columns == ["*"] else parsed.columns
        return [(name, self._column(types, name)) for name in names]

    def _execute(self, request: Request) -> Reply:
        prepared = self._known(request, request.prepared_id)
        if prepared.table is None:
            return self._use(request, prepared.parsed)
        data = self._bound(prepared, request.values)
        if prepared.parsed.kind == "insert":
            self._insert(prepared.table, data, prepared.text)
            return request.reply_void
        return self._select(request, prepared.parsed, prepared.table, data["k"], prepared)

    def _known(self, request: Request, prepared_id: bytes | None) -> Prepared:
        prepared = self.prepared[request.peer.host].get(prepared_id or b"")
        if prepared is None:
            request.prepared_id = prepared_id
            raise ModelError("Prepared query not found", ErrorCode.UNPREPARED)
        return prepared

    def _bound(self, prepared: Prepared, values: list[Value]) -> dict[str, bytes | None]:
        bound, _, _ = self._shapes(prepared)
        if len(values) != len(bound):
            raise ModelError(f"{len(values)} values for {len(bound)} markers")
        data: dict[str, bytes | None] = {}
        for (name, _), value in zip(bound, values, strict=True):
            if isinstance(value, Unset):
                raise ModelError(f"{name} is unset")
            data[name] = value
        return data

    def _batch(self, request: Request) -> Reply:
        """All of its statements or none."""
        writes: list[tuple[Table, dict[str, bytes | None], str]] = []
        for entry in request.statements:
            if entry.query is not None:
                parsed = self._parsed(entry.query)
                default = request.keyspace or request.connection.keyspace
                table = self._table(parsed, self._keyspace(parsed, default))
                writes.append((table, self._literals(parsed, table), entry.query))
            else:
                prepared = self._known(request, entry.prepared_id)
                assert prepared.table is not None
                data = self._bound(prepared, entry.values)
                writes.append((prepared.table, data, prepared.text))
        for table, data, _ in writes:
            self._decoded(table, data)
        for write in writes:
            self._insert(*write)
        return request.reply_void

    # What statements do, and whether their callers meant it

    def _decoded(self, table: Table, data: dict[str, bytes | None]) -> dict[str, Any]:
        types = self.schema.types_of(table)
        try:
            return {name: decode_value(types[name], value) for name, value in data.items()}
        except (UnicodeDecodeError, ValueError) as error:
            raise ModelError(str(error)) from error

    def _find(self, kind: type[Finding], intention: Intention | None, what: str) -> None:
        whose = intention.describe() if intention is not None else "nobody's"
        self.findings.append(kind(f"{what}; it was {whose}"))

    def _meant(self, table: Table, key: Any, text: str) -> Intention | None:
        """The intention behind a statement, if it may be carried out on this table."""
        intention = self.intentions.get(key)
        place = f"{table.keyspace}.{table.name}"
        if intention is None:
            self._find(found.WrongBytes, None, f"{text!r} has the key {key} in {place}")
            return None
        if intention.over:
            self._find(found.SentAfterItsEnd, intention, f"{text!r} arrived after its end")
        return intention if self._place(intention, table, repr(text)) else None

    def _place(self, intention: Intention | None, table: Table, text: str) -> bool:
        """Whether a table is one that the caller may have meant."""
        if intention is None:
            return True
        if table.name == intention.table and table.keyspace in intention.keyspaces:
            return True
        place = f"{table.keyspace}.{table.name}"
        self._find(found.WrongKeyspace, intention, f"{text} ran on {place}")
        return False

    def _insert(self, table: Table, data: dict[str, bytes | None], text: str) -> None:
        row = self._decoded(table, data)
        intention = self._meant(table, row.get("k"), text)
        if intention is None:
            return
        types = self.schema.types_of(table)
        for name, given in intention.values.items():
            if name not in row or not fits(types[name], row[name], given):
                self._excuse(intention, table, data, f"{name} is stored as {row.get(name)!r}")
                break
        intention.applied += 1
        if intention.applied > 1 and not intention.repeatable:
            self._find(found.SentTwice, intention, "it was carried out twice")
        self.rows.setdefault((table.keyspace, table.name), {})[intention.number] = row

    def _excuse(
        self, intention: Intention, table: Table, data: dict[str, bytes | None], what: str
    ) -> None:
        """Find fault with old bytes, unless the client cannot know better.

        What happened before a PREPARED by whose types they are right does not matter.
        """
        statement = (table.keyspace, intention.text)
        fitted = [
            number
            for number, types in self._shown.get(statement, ())
            if number > intention.since and _is_right(intention, types, data)
        ]
        since = max(fitted, default=intention.since)
        changes = [
            change
            for change in self.schema.changes_of(table.keyspace, table.name, since)
            if not change.fits_before
        ]
        if changes and not any(self.knowledge.has(change, statement) for change in changes):
            return
        self._find(found.WrongBytes, intention, what)

    def _select(
        self,
        request: Request,
        parsed: Parsed,
        table: Table,
        key: bytes | None,
        prepared: Prepared | None,
    ) -> Reply:
        if self.blunders:
            self.blunders -= 1
            self.disturb()
            other = next(name for name in self.schema.keyspaces if name != table.keyspace)
            body = Writer().write_int(3).write_string(other).getvalue()
            return lambda: request.reply(Opcode.RESULT, body)
        number = self._decoded(table, {"k": key})["k"]
        intention = self._meant(table, number, request.query or "")
        columns = self._result_columns(parsed, self.schema.types_of(table))
        row = tuple(self.cell(table, name, kind, number) for name, kind in columns)
        if intention is not None:
            names = tuple(name for name, _ in columns)
            intention.evaluations.append(Evaluation(names, row))
        known = hashlib.md5(repr(columns).encode()).digest()
        agreed = request.version < 5 or request.result_metadata_id == known
        bare = prepared is not None and request.skip_metadata and agreed
        changed = prepared is not None and request.version >= 5 and not agreed
        encoded = [_as_sequence(kind, cell) for (_, kind), cell in zip(columns, row, strict=True)]
        place = (table.keyspace, table.name)
        return lambda: request.reply_rows(
            columns,
            [encoded],
            metadata=not bare,
            new_metadata_id=known if changed else None,
            table=place,
        )

    def cell(self, table: Table, name: str, kind: CqlTypeName, number: int) -> Any:
        """What a row has in a column: it tells the table, which one of that name, and the column."""
        if name == "k":
            return number
        return value_of(kind, letters(table.keyspace, table.name, table.created, name, number))


def _as_sequence(kind: CqlTypeName, cell: Any) -> Any:
    """A cell in the form that the replies' encoder takes: fields by position."""
    if isinstance(cell, dict):
        fields = dict(kind.fields)  # type: ignore[union-attr]
        return [_as_sequence(fields[name], part) for name, part in cell.items()]
    if isinstance(cell, list):
        return [_as_sequence(kind.element, part) for part in cell]  # type: ignore[union-attr]
    return cell


def _is_right(
    intention: Intention, types: dict[str, CqlTypeName], data: dict[str, bytes | None]
) -> bool:
    """Whether bytes are what was meant if the columns have these types."""
    try:
        return all(
            fits(types[name], decode_value(types[name], data.get(name)), meant)
            for name, meant in intention.values.items()
            if name in types
        )
    except ValueError:
        return False
