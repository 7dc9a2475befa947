"""Turn a statement of any kind into a request.

Prepared statements take the short way through :meth:`.build.RequestBuilder.prepared`; everything
else becomes a message here, for which it may have to be prepared first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from cassandra.query import BatchStatement as DriverBatchStatement
from cassandra.query import BatchType, SimpleStatement
from cassandra.query import BoundStatement as DriverBoundStatement
from cassandra.query import PreparedStatement as DriverPreparedStatement

from async_cassandra._cql.analysis import (
    Repetition,
    StatementInfo,
    analyze,
)
from async_cassandra._cql.literals import LiteralEncoder, write_parameters
from async_cassandra._cql.redaction import without_literals
from async_cassandra._driver.contract import batch_entries
from async_cassandra._request.call import CallOptions
from async_cassandra._request.prepared import PreparedQuery, other_keyspace
from async_cassandra._request.request import Request
from async_cassandra._statements.build import RequestBuilder, seconds_of
from async_cassandra._statements.prepare import Preparer
from async_cassandra._statements.statements import (
    PREPARED_MARKERS,
    BatchStatement,
    BoundStatement,
    DoubtfulValues,
    Parameters,
    PreparedId,
    PreparedStatement,
    described,
    has_types_of,
)
from async_cassandra._wire.binding import BoundValues
from async_cassandra.exceptions import (
    ConfigurationError,
    ParameterValueError,
    StatementChangedError,
)

NO_VALUES = b"\x00\x00"


class Resolver:
    """Makes requests of one session from what a user passes.

    Concurrency: the loop's thread only.

    :param encoder: writes the parameters for ``%s``
    """

    def __init__(
        self, builder: RequestBuilder, preparer: Preparer, encoder: LiteralEncoder
    ) -> None:
        self.builder = builder
        self.preparer = preparer
        self.encoder = encoder
        self.executor = builder.executor
        self.plans = self.executor.plans
        self.loop = self.executor.loop

    async def request(
        self, query: Any, parameters: Parameters, keyspace: str | None, options: CallOptions
    ) -> Request:
        """Build the request of any statement but a USE; may prepare it first, within the same timeout.

        :param keyspace: the keyspace for unqualified names
        :raises TypeError: if ``query`` is not a statement
        """
        match query:
            case str():
                unmarked = SimpleStatement(query, is_idempotent=None)
                return await self._string(unmarked, query, parameters, keyspace, options)
            case BoundStatement():
                refuse_parameters(parameters)
                prepared, bound = query.prepared_statement.prepared, query.bound
                if query.is_doubtful or not prepared.is_ready(self.plans):
                    prepared, bound = await self._own(prepared, bound, options, query)
                return self.builder.execute(query, prepared, bound, options)
            case DriverBoundStatement():
                refuse_parameters(parameters)
                return await self._foreign_bound(query, keyspace, options)
            case PreparedStatement():
                # Its values are to be bound by the types that the server has.
                prepared = await self.preparer.own(query.prepared, options)
                return self.builder.execute(query, prepared, prepared.bind(parameters), options)
            case DriverPreparedStatement():
                prepared = await self._adopt(query, keyspace, options)
                return self.builder.execute(query, prepared, prepared.bind(parameters), options)
            case DriverBatchStatement():
                refuse_parameters(parameters)
                return await self._batch(query, keyspace, options)
            case SimpleStatement():
                return await self._string(
                    query, query.query_string, parameters, query.keyspace or keyspace, options
                )
        raise TypeError(
            "query takes a str, SimpleStatement, PreparedStatement, BoundStatement or "
            f"BatchStatement, not {type(query).__name__}"
        )

    async def _string(
        self,
        statement: SimpleStatement,
        text: str,
        parameters: Parameters,
        keyspace: str | None,
        options: CallOptions,
    ) -> Request:
        info = described(text)
        if parameters is not None and info.markers in PREPARED_MARKERS:
            prepared, bound = await self.preparer.bound_string(keyspace, text, parameters, options)
            return self.builder.execute(statement, prepared, bound, options)
        if parameters is not None:
            text, info = self._formatted(text, info, parameters)
        return self.builder.query(statement, text, info, keyspace, options)

    def _formatted(
        self, text: str, info: StatementInfo, parameters: Sequence[Any] | Mapping[str, Any]
    ) -> tuple[str, StatementInfo]:
        """Write the parameters into a string; return it and the analysis of the result."""
        formatted = write_parameters(text, parameters, info.markers, self.encoder)
        return formatted, formatted_info(info, parameters, formatted, self.encoder)

    async def _own(
        self,
        prepared: PreparedQuery,
        bound: BoundValues,
        options: CallOptions,
        statement: BoundStatement | None = None,
    ) -> tuple[PreparedQuery, BoundValues]:
        """Return this session's counterpart of a query, with values that were bound earlier."""
        own = await self.preparer.own(prepared, options)
        if own is prepared:
            return prepared, bound if statement is None else statement.bound_for(prepared)
        if own.bind_columns != prepared.bind_columns:
            raise _changed("another session", prepared)
        return own, own.bind_encoded(bound.encoded_values())

    async def _adopt(
        self, foreign: DriverPreparedStatement, keyspace: str | None, options: CallOptions
    ) -> PreparedQuery:
        """Return our counterpart of a statement that the driver prepared."""
        columns = foreign.column_metadata
        meant = foreign.keyspace or (columns[0].keyspace_name if columns else keyspace)
        if self.executor.can_name_keyspaces:
            keyspace = meant
        prepared = await self.preparer.string(keyspace, foreign.query_string, options)
        if prepared.bind_columns and prepared.bind_columns[0].keyspace != meant:
            raise other_keyspace(foreign.query_string, meant, keyspace)
        return prepared

    async def _foreign_bound(
        self, bound: DriverBoundStatement, keyspace: str | None, options: CallOptions
    ) -> Request:
        prepared, values = await self._adopted(bound, keyspace, options)
        return self.builder.execute(bound, prepared, values, options)

    async def _adopted(
        self, bound: DriverBoundStatement, keyspace: str | None, options: CallOptions
    ) -> tuple[PreparedQuery, BoundValues]:
        """Return our counterpart of a statement that the driver prepared, and the values that it has encoded."""
        foreign = bound.prepared_statement
        prepared = await self._adopt(foreign, keyspace, options)
        if not has_types_of(foreign, prepared):
            raise _changed("the driver", prepared)
        return prepared, prepared.bind_encoded(bound.values)

    async def _batch(
        self, batch: DriverBatchStatement, keyspace: str | None, options: CallOptions
    ) -> Request:
        entries: list[tuple[str | bytes, bytes]] = []
        queries: dict[bytes, PreparedQuery] = {}
        counts = batch.batch_type is BatchType.COUNTER
        repetition: int = Repetition.NEVER if counts else Repetition.HARMLESS
        keyspace = _meant_keyspace(batch, keyspace)
        has_strings = False
        deadline = self.loop.time() + seconds_of(options)
        for _, statement, values in batch_entries(batch):
            if isinstance(statement, PreparedStatement):
                prepared, bound = statement.prepared, values
                if not prepared.is_ready(self.plans):
                    left = self._left(options, deadline)
                    prepared, bound = await self._own(prepared, bound, left)
                payload = bound.payload
            elif isinstance(statement, str) and not (values and _is_to_prepare(statement)):
                info = described(statement)
                if values:
                    statement, info = self._formatted(statement, info, values)
                repetition = min(repetition, info.repetition)
                entries.append((statement, NO_VALUES))
                has_strings = True
                continue
            else:
                prepared, payload = await self._batched(
                    statement, values, keyspace, options, deadline
                )
            prepared_id = prepared.prepared_id
            if prepared_id not in queries:
                queries[prepared_id] = prepared
                repetition = min(repetition, prepared.repetition)
            entries.append((prepared_id, payload))
        return self.builder.batch(
            batch,
            entries,
            queries,
            repetition,
            keyspace,
            has_strings,
            options,
            routing_keyspace=getattr(batch, "routing_keyspace", None),
        )

    async def _batched(
        self,
        statement: Any,
        values: Any,
        keyspace: str | None,
        options: CallOptions,
        deadline: float,
    ) -> tuple[PreparedQuery, bytes]:
        """Return a batch entry's prepared query and encoded values."""
        left = self._left(options, deadline)
        if isinstance(statement, BoundStatement):
            prepared, bound = await self._own(
                statement.prepared_statement.prepared, statement.bound, left, statement
            )
            return prepared, bound.payload
        if isinstance(statement, DriverBoundStatement):
            prepared, bound = await self._adopted(statement, keyspace, left)
            return prepared, bound.payload
        if isinstance(statement, bytes):
            if not isinstance(statement, PreparedId):
                raise ConfigurationError(
                    "a batch holds a statement that the driver prepared, and only its id: prepare it "
                    "with this session, or use async_cassandra's BatchStatement"
                )
            if isinstance(values, DoubtfulValues):
                return await self._batched(values.statement, (), keyspace, options, deadline)
            encoded = statement.prepared.bind_encoded(values)
            prepared, bound = await self._own(statement.prepared, encoded, left)
            return prepared, bound.payload
        prepared, bound = await self.preparer.bound_string(keyspace, statement, values, left)
        return prepared, bound.payload

    def _left(self, options: CallOptions, deadline: float) -> CallOptions:
        """Return options that give a PREPARE the time until ``deadline``."""
        return CallOptions(options.profile, timeout=max(deadline - self.loop.time(), 0.001))


def _changed(preparer: str, prepared: PreparedQuery) -> StatementChangedError:
    return StatementChangedError(
        f"The schema changed since {preparer} prepared this statement: its parameters now have other "
        f"types. Nothing was executed. Prepare it again: {without_literals(prepared.query[:200])}"
    )


def formatted_info(
    info: StatementInfo,
    parameters: Sequence[Any] | Mapping[str, Any],
    formatted: str,
    encoder: LiteralEncoder,
) -> StatementInfo:
    """Analyse a string with its parameters written into it, if they can make a difference."""
    if not info.joins_text:
        if info.repetition in (Repetition.READ, Repetition.NEVER):
            return info
        plain = parameters.values() if isinstance(parameters, Mapping) else parameters
        if info.repetition is Repetition.HARMLESS and all(map(encoder.is_plain, plain)):
            return info
    return described(formatted, analyze)


def _meant_keyspace(batch: DriverBatchStatement, keyspace: str | None) -> str | None:
    """Return the keyspace for unqualified names in a batch's strings, in a session with ``keyspace``."""
    if isinstance(batch, BatchStatement):
        return batch.meant_keyspace(keyspace)
    return batch.keyspace or keyspace


def _is_to_prepare(text: str) -> bool:
    return described(text).markers in PREPARED_MARKERS


def refuse_parameters(parameters: Parameters) -> None:
    if parameters:
        raise ParameterValueError(
            "parameters: the statement has its values already; pass them to bind() or add()"
        )
