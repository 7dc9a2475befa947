"""Rows as values of a type that the application gives: ``execute(…, row=User)``.

A type is inspected once, and a function that makes its values from a row's columns is compiled once
for each plan of columns, which a statement's executions share.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints, is_typeddict

from async_cassandra._results.conversions import Conversion, conversion, is_scalar, name_of
from async_cassandra._wire.cqltypes import CqlType
from async_cassandra._wire.row import field_names
from async_cassandra._wire.rows import RowPlan
from async_cassandra.exceptions import ConfigurationError, RowTypeError

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    RowT = TypeVar("RowT", default=Any)
    RowT_co = TypeVar("RowT_co", default=Any, covariant=True)
else:
    from typing import TypeVar

    RowT = TypeVar("RowT")
    RowT_co = TypeVar("RowT_co", covariant=True)

type Reader = Callable[[tuple[Any, ...]], Any]

# Of types that an application makes as it runs, a plan keeps no more.
MAX_READERS = 64
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a type, filled with a column's value under ``key``.

    :ivar names: the column names that fill it; empty if no column can
    """

    key: str
    names: tuple[str, ...]
    hint: Any
    is_required: bool
    by_position: bool = False


@lru_cache(maxsize=1024)
def record_type(kind: Any) -> "RecordType":
    """Return the description of a type for rows.

    :raises ~async_cassandra.exceptions.ConfigurationError: if rows cannot have it
    """
    origin = get_origin(kind) or kind
    if origin is dict:
        return RecordType(kind, [], takes_any=True, template="{{{pairs}}}")
    if origin is tuple:
        return TupleType(kind, [], template="({values},)")
    if is_record(origin):
        return _described(origin)
    if is_scalar(kind):
        return ScalarType(kind, [], template="{values}")
    raise ConfigurationError(
        "row takes a dataclass, pydantic model, msgspec Struct, attrs class, TypedDict, named tuple, "
        f"dict, tuple or the type of a column's values, not {name_of(kind)}"
    )


def is_record(kind: Any) -> bool:
    """Whether a class has fields that columns can fill."""
    if not isinstance(kind, type):
        return False
    is_named_tuple = issubclass(kind, tuple) and hasattr(kind, "_fields")
    marks = ("__pydantic_validator__", "__struct_fields__", "__attrs_attrs__")
    return is_named_tuple or is_typeddict(kind) or is_dataclass(kind) or _has_any(kind, marks)


def _has_any(kind: type, marks: tuple[str, ...]) -> bool:
    return any(hasattr(kind, mark) for mark in marks)


def _described(kind: Any) -> "RecordType":
    if is_typeddict(kind):
        required = kind.__required_keys__
        fields = [_Field(key, (key,), hint, key in required) for key, hint in _hints(kind).items()]
        return RecordType(kind, fields, template="{{{pairs}}}")
    if hasattr(kind, "model_fields") and hasattr(kind, "model_validate"):
        takes_any = kind.model_config.get("extra") == "allow"
        return RecordType(
            kind,
            list(_model_fields(kind)),
            takes_any=takes_any,
            template="make({{{pairs}}})",
            make=kind.model_validate,
            validates=True,
        )
    parameters = inspect.signature(kind).parameters.values()
    hints = _hints(kind)
    return RecordType(
        kind,
        [
            _Field(
                parameter.name,
                (parameter.name,),
                hints.get(parameter.name, Any),
                parameter.default is parameter.empty,
                parameter.kind in _BY_POSITION,
            )
            for parameter in parameters
            if parameter.kind in (*_BY_POSITION, parameter.KEYWORD_ONLY)
        ],
        takes_any=any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters),
        template="make({arguments})",
        validates=hasattr(kind, "__pydantic_validator__"),
    )


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return get_type_hints(kind)
    except NameError:
        # It names what only the type checker imports: the values stay as they are.
        names = getattr(kind, "__annotations__", {})
        return dict.fromkeys(names, Any)


def _model_fields(kind: Any) -> Iterator[_Field]:
    config = kind.model_config
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    for name, field in kind.model_fields.items():
        alias = field.validation_alias
        aliases = getattr(alias, "choices", [alias])
        names = [choice for choice in aliases if isinstance(choice, str)]
        if alias is None or by_name:
            names.append(name)
        yield _Field(name, tuple(names), field.annotation, field.is_required())


class RecordType:
    """A type with fields, or one that takes every column.

    :param template: the expression that makes a value; ``{arguments}``, ``{pairs}`` and ``{values}``
        stand for the columns as a call, a dict and a tuple take them
    :param make: the callable in the template
    :param takes_any: whether columns without a field are its fields too
    :param validates: whether it checks and converts its values itself
    """

    def __init__(
        self,
        kind: Any,
        fields: list[_Field],
        *,
        template: str,
        make: Callable[..., Any] | None = None,
        takes_any: bool = False,
        validates: bool = False,
    ) -> None:
        self.kind = kind
        self.fields = fields
        self.template = template
        self.make = kind if make is None else make
        self.takes_any = takes_any
        self.validates = validates

    def reader(self, plan: RowPlan) -> Reader:
        """Return the function that makes a value from a row's columns; compiled once for each plan.

        :raises ~async_cassandra.exceptions.RowTypeError: naming the column or the field that has
            no other
        """
        reader: Reader | None = plan.readers.get(self)
        if reader is None:
            reader = self.compiled(plan.column_names, plan.value_types)
            if len(plan.readers) >= MAX_READERS:
                plan.readers.clear()
            plan.readers[self] = reader
        return reader

    def compiled(self, names: tuple[str, ...], types: tuple[CqlType, ...]) -> Reader:
        """Compile the function that makes a value from columns with these names and types."""
        keys, hints = self.assign(names)
        conversions = [
            self.conversion(name, cql_type, key, hint)
            for name, cql_type, key, hint in zip(names, types, keys, hints, strict=True)
        ]
        source = self.template.format(
            arguments=", ".join(self.arguments(keys, conversions)),
            pairs=", ".join(f"{key!r}: {_value(i, conversions)}" for i, key in enumerate(keys)),
            values=", ".join(_value(i, conversions) for i in range(len(keys))),
        )
        # Of indexes, and of names as literals or as those of parameters.
        reader: Reader = eval(f"lambda row: {source}", {"make": self.make, "to": conversions})
        return reader

    def assign(self, names: tuple[str, ...]) -> tuple[list[str], list[Any]]:
        """Return the name by which each column fills a field, and the field's annotation."""
        known = {name: field for field in self.fields for name in field.names}
        keys: list[str] = []
        hints: list[Any] = []
        filled: set[str] = set()
        for name, attribute in zip(names, field_names(names), strict=True):
            key = attribute if name not in known and attribute in known else name
            field = known.get(key)
            if field is None and not self.takes_any:
                raise self.unfit(f"has no field for the column {name!r}", column=name)
            filled_now = key if field is None else field.key
            if filled_now in filled:
                raise self.unfit(f"gets {filled_now!r} from two columns", column=name)
            filled.add(filled_now)
            keys.append(key)
            hints.append(self.other_hint() if field is None else field.hint)
        for field in self.fields:
            if field.is_required and field.key not in filled:
                raise self.unfit(f"needs a column for the field {field.key!r}", field=field.key)
        return keys, hints

    def other_hint(self) -> Any:
        """Return the annotation for columns without a field of their own."""
        arguments = get_args(self.kind)
        return arguments[-1] if arguments else Any

    def conversion(self, name: str, cql_type: CqlType, key: str, hint: Any) -> Conversion | None:
        """Return what to do with a column's values before they fill a field."""
        try:
            return conversion(cql_type, hint, not self.validates, nested=_nested)
        except TypeError as error:
            raise self.unfit(
                f"cannot hold the column {name!r}: {error}", column=name, field=key
            ) from None

    def arguments(self, keys: list[str], conversions: list[Conversion | None]) -> Iterator[str]:
        """Write a call's arguments: by position up to the first gap, then by name."""
        by_position = True
        for field in self.fields:
            by_position = by_position and field.by_position and field.key in keys
            if field.key in keys:
                value = _value(keys.index(field.key), conversions)
                yield value if by_position else f"{field.key}={value}"
        own = {field.key for field in self.fields}
        others = [
            f"{key!r}: {_value(i, conversions)}" for i, key in enumerate(keys) if key not in own
        ]
        if others:
            yield f"**{{{', '.join(others)}}}"

    def unfit(
        self, what: str, *, column: str | None = None, field: str | None = None
    ) -> RowTypeError:
        """Build the error for a result whose columns are not this type's fields."""
        error = RowTypeError(f"row={name_of(self.kind)} {what}")
        error.column, error.field = column, field
        return error

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {name_of(self.kind)}>"


class TupleType(RecordType):
    """A tuple with an annotation for each column."""

    def assign(self, names: tuple[str, ...]) -> tuple[list[str], list[Any]]:
        hints = list(get_args(self.kind))
        if not hints or hints[-1] is Ellipsis:
            return list(names), (hints[:1] or [Any]) * len(names)
        if len(names) > len(hints):
            raise self.unfit(
                f"has no item for the column {names[len(hints)]!r}", column=names[len(hints)]
            )
        if len(names) < len(hints):
            raise self.unfit(f"needs {len(hints)} columns, there are {len(names)}")
        return list(names), hints


class ScalarType(RecordType):
    """A type for the values of a result's only column."""

    def assign(self, names: tuple[str, ...]) -> tuple[list[str], list[Any]]:
        if len(names) > 1:
            raise self.unfit(f"takes one column, there is {names[1]!r} too", column=names[1])
        return list(names), [self.kind]


def _value(index: int, conversions: list[Conversion | None]) -> str:
    value = f"row[{index}]"
    if conversions[index] is None:
        return value
    return f"(None if {value} is None else to[{index}]({value}))"


def _nested(cql_type: CqlType, kind: Any) -> Conversion | None:
    """Makes the conversion of a user-defined type's value to ``kind``; ``None`` if that cannot hold one."""
    if not is_record(kind):
        return None
    reader = record_type(kind).compiled(cql_type.field_names, cql_type.subtypes)

    def convert(value: Any) -> Any:
        # It is the application's own already where that has registered a class.
        return reader(value) if isinstance(value, tuple) and type(value) is not kind else value

    return convert
