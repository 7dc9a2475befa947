"""Statements: the driver's classes, with values encoded and checked by this library.

They can be used wherever the driver's can, and the driver's own can be used in their place.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from cassandra import query as driver
from cassandra.policies import RetryPolicy
from cassandra.protocol import ColumnMetadata

from async_cassandra._cql.analysis import MarkerStyle, MixedMarkersError, StatementInfo, describe
from async_cassandra._cql.redaction import without_literals
from async_cassandra._driver.types import driver_type
from async_cassandra._request.prepared import PreparedQuery
from async_cassandra._statements.options import OwnMark, PreparedOptions
from async_cassandra._wire.binding import BoundValues, check_parameters
from async_cassandra._wire.errors import ParameterError
from async_cassandra._wire.rows import Column
from async_cassandra.exceptions import ConfigurationError, ParameterValueError, from_wire

type AnyStatement = str | driver.Statement | driver.PreparedStatement
type Payload = Mapping[str, bytes] | Mapping[bytes, bytes] | None
type Parameters = Sequence[Any] | Mapping[str, Any] | None
type RowFactory = Callable[[list[str], list[Any]], Any]

# What a bound statement inherits from the prepared one.
_INHERITED = (
    "retry_policy",
    "consistency_level",
    "serial_consistency_level",
    "fetch_size",
    "custom_payload",
)


def _driver_column(column: Column) -> ColumnMetadata:
    return ColumnMetadata(column.keyspace, column.table, column.name, driver_type(column.type))


class PreparedId(bytes):
    """The server's id of a query, with the query itself: another one can have the same id later.

    A batch of the driver's class keeps nothing else of a prepared statement.
    """

    prepared: PreparedQuery


def _id_of(prepared: PreparedQuery) -> PreparedId:
    prepared_id = PreparedId(prepared.prepared_id)
    prepared_id.prepared = prepared
    return prepared_id


def has_types_of(foreign: driver.PreparedStatement, prepared: PreparedQuery) -> bool:
    """Whether a statement that the driver prepared has the parameters that the server has now."""
    columns = [_driver_column(column) for column in prepared.bind_columns]
    return _signature(foreign.column_metadata) == _signature(columns)


def _signature(columns: Sequence[ColumnMetadata] | None) -> list[tuple[str, str, str, str]]:
    return [
        (
            column.keyspace_name,
            column.table_name,
            column.name,
            column.type.cass_parameterized_type(full=True),
        )
        for column in columns or ()
    ]


class PreparedStatement(PreparedOptions, driver.PreparedStatement):
    """A statement prepared by :meth:`AsyncCassandraSession.prepare`.

    Set ``consistency_level``, ``serial_consistency_level``, ``fetch_size``, ``retry_policy``,
    ``is_idempotent`` or ``custom_payload`` on it to apply them to every execution. Concurrency: it can
    be shared by any number of requests.
    """

    __module__ = "async_cassandra.statements"

    prepared: PreparedQuery
    query_id: bytes
    query_string: str
    keyspace: str | None
    protocol_version: int
    routing_key_indexes: list[int] | None
    column_encryption_policy: Any

    def __init__(self) -> None:
        """Refused: it is prepared by a server."""
        raise TypeError("get a prepared statement from AsyncCassandraSession.prepare()")

    @classmethod
    def _of(cls, prepared: PreparedQuery, protocol_version: int) -> Self:
        # The base class takes column metadata in driver types, which are built only if someone asks
        # for them.
        statement = cls.__new__(cls)
        statement.prepared = prepared
        statement.query_id = _id_of(prepared)
        statement.query_string = prepared.query
        statement.keyspace = prepared.keyspace
        statement.protocol_version = protocol_version
        statement.routing_key_indexes = list(prepared.partition_key) or None
        # The driver's BoundStatement takes it from here.
        encryption = prepared.encryption
        statement.column_encryption_policy = None if encryption is None else encryption.policy
        return statement

    @property
    def column_metadata(self) -> list[ColumnMetadata]:
        """The parameters, in the driver's types."""
        return [_driver_column(column) for column in self.prepared.bind_columns]

    @property
    def result_metadata(self) -> list[ColumnMetadata]:
        """The columns of its rows as the server last reported them, in the driver's types."""
        return [_driver_column(column) for column in self.prepared.shape.columns]

    @property
    def result_metadata_id(self) -> bytes | None:
        """The server's id of those columns; ``None`` on protocol v4."""
        return self.prepared.shape.metadata_id

    def __copy__(self) -> "PreparedStatement":
        twin = PreparedStatement._of(self.prepared, self.protocol_version)
        vars(twin).update(vars(self))
        for name in (*_INHERITED, "is_idempotent"):
            setattr(twin, name, getattr(self, name))
        return twin

    def bind(self, values: Parameters) -> "BoundStatement":
        """Bind values by position or by name; missing ones stay unset.

        :raises ~async_cassandra.exceptions.ParameterTypeError: if a value's type does not fit
        :raises ~async_cassandra.exceptions.ParameterValueError: if a value is out of range or there
            are too many
        """
        return BoundStatement(self).bind(values)


class BoundStatement(OwnMark, driver.BoundStatement):
    """A prepared statement with its values; build it with :meth:`PreparedStatement.bind`."""

    __module__ = "async_cassandra.statements"

    prepared_statement: PreparedStatement

    def __init__(
        self,
        prepared_statement: PreparedStatement,
        retry_policy: RetryPolicy | None = None,
        consistency_level: int | None = None,
        routing_key: bytes | Sequence[bytes] | None = None,
        serial_consistency_level: int | None = None,
        fetch_size: Any = driver.FETCH_SIZE_UNSET,
        keyspace: str | None = None,
        custom_payload: Mapping[str, bytes] | None = None,
    ) -> None:
        self.prepared_statement = prepared_statement
        for name in _INHERITED:
            setattr(self, name, getattr(prepared_statement, name))
        self.keyspace: str | None = prepared_statement.prepared.routing_keyspace
        self.raw_values: Parameters = None
        self.is_doubtful = False
        self._bound: BoundValues | None = None
        driver.Statement.__init__(
            self,
            retry_policy,
            consistency_level,
            routing_key,
            serial_consistency_level,
            fetch_size,
            keyspace,
            custom_payload,
            prepared_statement.is_idempotent,
        )

    def bind(self, values: Parameters) -> Self:
        """Bind values by position or by name; missing ones stay unset.

        :raises ~async_cassandra.exceptions.ParameterTypeError: if a value's type does not fit
        :raises ~async_cassandra.exceptions.ParameterValueError: if a value is out of range or there
            are too many
        """
        self.raw_values = () if values is None else values
        prepared = self.prepared_statement.prepared
        self.is_doubtful = not prepared.is_trusted
        self._bound = prepared.bind(self.raw_values, partial=True)
        return self

    def bound_for(self, prepared: PreparedQuery) -> BoundValues:
        """Return its values, bound again if a schema change had not been compared yet when they were bound."""
        if self.is_doubtful and self.bound.plan is not prepared.bind_plan:
            return prepared.bind(self.raw_values, partial=True)
        return self.bound

    @property
    def bound(self) -> BoundValues:
        """The encoded values; all unset until some are bound."""
        if self._bound is None:
            self.bind(())
        assert self._bound is not None
        return self._bound

    @property
    def values(self) -> list[Any]:
        """The values, encoded, or ``None``, or ``UNSET_VALUE``; empty before :meth:`bind`."""
        if self._bound is None:
            return []
        values = self._bound.encoded_values()
        return DoubtfulValues(self, values) if self.is_doubtful else values

    @property
    def routing_key(self) -> bytes | None:
        """The encoded partition key, if every part of it is bound."""
        if self._routing_key is not None or self._bound is None:
            return self._routing_key
        return self._bound.routing_key

    @routing_key.setter
    def routing_key(self, key: bytes | Sequence[bytes] | None) -> None:
        self._set_routing_key(key)


class DoubtfulValues(list[Any]):
    """Encoded values that may have to be bound again; a driver's batch keeps nothing else of a statement."""

    def __init__(self, statement: BoundStatement, values: list[Any]) -> None:
        super().__init__(values)
        self.statement = statement


# The styles of marker for which a string is prepared.
PREPARED_MARKERS = frozenset({MarkerStyle.POSITIONAL, MarkerStyle.NAMED})


def described(text: str, reader: Callable[[str], StatementInfo] = describe) -> StatementInfo:
    """Analyse a string.

    :raises ~async_cassandra.exceptions.ParameterValueError: if it mixes two styles of marker
    """
    try:
        return reader(text)
    except MixedMarkersError as error:
        raise ParameterValueError(f"query: {error}", error) from error


def _check_parameters(parameters: object) -> None:
    try:
        check_parameters(parameters)
    except ParameterError as error:
        raise from_wire(error) from None


def _bound_whole(statement: driver.PreparedStatement, parameters: Parameters) -> Any:
    """Bind a statement that the driver prepared, with a value for each position."""
    values = () if parameters is None else parameters
    wanted = len(statement.column_metadata)
    if len(values) < wanted and not isinstance(values, Mapping):
        raise ParameterValueError(
            f"too few parameters: {len(values)} given, the statement has {wanted}"
        )
    return statement.bind(values)


_OWN_PREPARED = (PreparedStatement, BoundStatement)


class BatchStatement(OwnMark, driver.BatchStatement):
    """A batch that also takes strings with ``?`` or ``:name`` and their parameters.

    They are prepared when the batch is executed, each once per session.
    """

    __module__ = "async_cassandra.statements"

    keyspace: str | None
    """The keyspace for its unqualified names: set here, or taken from a simple statement."""
    routing_keyspace: str | None = None

    def __init__(self, *settings: Any, **more_settings: Any) -> None:
        super().__init__(*settings, **more_settings)
        self._mark: bool | None = None
        self._is_keyspace_taken = False
        self._has_unmarked = False

    @property
    def is_idempotent(self) -> bool | None:
        """What was set, or else what its prepared statements say: no if one does, yes if all are and say yes."""
        if self._mark is not None:
            return self._mark
        marks = {
            statement.is_idempotent if isinstance(statement, _OWN_PREPARED) else None
            for _, statement, _ in self._statements_and_parameters
        }
        return False if False in marks else True if marks == {True} else None

    @is_idempotent.setter
    def is_idempotent(self, mark: bool | None) -> None:
        self._mark = mark

    def add(self, statement: Any, parameters: Parameters = None) -> Self:
        """Add a statement and its parameters.

        :param statement: a string, or a simple, prepared or bound statement
        :raises ValueError: if there are 65,535 already, or parameters come with a bound statement
        :raises ~async_cassandra.exceptions.ConfigurationError: if its keyspace is not that of the others
        :raises ~async_cassandra.exceptions.ParameterTypeError: if a value's type does not fit
        :raises ~async_cassandra.exceptions.ParameterValueError: if a value is out of range or there are too many
        """
        if isinstance(statement, PreparedStatement):
            return self._add_prepared(statement, parameters)
        if parameters is not None:
            _check_parameters(parameters)
        if isinstance(statement, driver.PreparedStatement):
            statement = _bound_whole(statement, parameters)
            parameters = None
        if isinstance(statement, driver.BoundStatement):
            if parameters:
                raise ValueError("parameters cannot be passed with a BoundStatement")
            self._update_state(statement)
            self._add_statement_and_params(True, statement, ())
            return self
        simple = isinstance(statement, driver.SimpleStatement)
        text = statement.query_string if simple else statement
        self._take_keyspace(statement.keyspace if simple else None)
        if parameters and isinstance(text, str):
            style = described(text).markers
            if style is MarkerStyle.NONE:
                raise ParameterValueError(
                    "parameters were given for a query without markers: "
                    f"{without_literals(text[:200])}"
                )
            if self._session is not None and style not in PREPARED_MARKERS:
                # The application names the session whose encoder writes them.
                super().add(statement, parameters)
                return self
            if simple:
                self._update_state(statement)
            self._add_statement_and_params(False, text, parameters)
            return self
        super().add(statement)
        return self

    def _add_prepared(self, statement: PreparedStatement, parameters: Parameters) -> Self:
        """Add the values encoded, without a statement object for each entry."""
        bound = statement.prepared.bind(parameters)
        if not statement.prepared.is_trusted:
            return self.add(statement.bind(parameters))
        self._route(bound, statement.prepared.routing_keyspace)
        self._update_custom_payload(statement)
        self._add_statement_and_params(True, statement, bound)
        return self

    def clear(self) -> None:
        """Remove everything from it."""
        super().clear()
        self.routing_keyspace = None
        if self._is_keyspace_taken:
            self.keyspace = None
        self._is_keyspace_taken = self._has_unmarked = False

    def _take_keyspace(self, keyspace: str | None) -> None:
        if keyspace is None:
            self._has_unmarked = True
            return
        if self.keyspace not in (None, keyspace):
            raise ConfigurationError(
                f"keyspace: a batch has only one; this one's is {self.keyspace!r}, not {keyspace!r}. "
                "Qualify the names in its statements instead"
            )
        if self.keyspace is None:
            self._is_keyspace_taken = True
        self.keyspace = keyspace

    def meant_keyspace(self, session_keyspace: str | None) -> str | None:
        """Return the keyspace for unqualified names in its strings.

        :raises ~async_cassandra.exceptions.ConfigurationError: if one statement names it and others mean the session's
        """
        if self.keyspace in (None, session_keyspace):
            return session_keyspace
        if self._is_keyspace_taken and self._has_unmarked:
            raise ConfigurationError(
                f"keyspace: a batch has only one; one statement names {self.keyspace!r}, others mean the session's, "
                f"{session_keyspace!r}. Set the batch's keyspace, or qualify names instead"
            )
        return self.keyspace

    def _maybe_set_routing_attributes(self, statement: Any) -> None:
        # The driver's would send the first bound statement's keyspace as that of every string.
        self._route(statement, statement.keyspace)

    def _route(self, routed: Any, keyspace: str | None) -> None:
        """Send the batch to the replicas of the first statement that has a routing key."""
        if self.routing_key is None and keyspace and routed.routing_key:
            self.routing_key = routed.routing_key
            self.routing_keyspace = keyspace
