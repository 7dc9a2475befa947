"""Writes parameters into a string for ``%s`` and ``%(name)s``.

This is the driver's encoder, with the values of bound parameters: a value goes through its type's codec, and the
literal says what that understood. What a literal cannot express is refused.
"""

import math
import operator
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from cassandra.encoder import Encoder
from cassandra.util import Duration

from async_cassandra._cql.analysis import MarkerStyle
from async_cassandra._cql.redaction import without_literals
from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._wire.binding import check_parameters
from async_cassandra._wire.codecs import Codec, CodecRegistry
from async_cassandra._wire.cqltypes import parse_class_name
from async_cassandra._wire.decimals import digits_of
from async_cassandra._wire.errors import ParameterError, words_of
from async_cassandra._wire.user_types import field_values
from async_cassandra.exceptions import (
    ParameterRangeError,
    ParameterTypeError,
    ParameterValueError,
    from_wire,
)

__all__ = ["LiteralEncoder", "write_parameters"]

_CODECS = CodecRegistry(PYTHON_TYPES)


def _codec(class_name: str) -> Codec:
    return _CODECS.codec(parse_class_name(class_name))


_BLOB = _codec("BytesType")
_DATE = _codec("SimpleDateType")
_DECIMAL = _codec("DecimalType")
_DOUBLE = _codec("DoubleType")
_DURATION = _codec("DurationType")
_INET = _codec("InetAddressType")
_TEXT = _codec("UTF8Type")
_TIME = _codec("TimeType")
_TIMESTAMP = _codec("TimestampType")
_UUID = _codec("UUIDType")
_VARINT = _codec("IntegerType")

_EPOCH = date(1970, 1, 1).toordinal()
# The years of ``datetime.date``, in days since then.
_DATES = range(date.min.toordinal() - _EPOCH, date.max.toordinal() + 1 - _EPOCH)
# Bytes of an int whose digits ``str`` takes under any limit that the interpreter can be set to.
_SHORT_INT = 256
# What has a literal of its own; registered for a user-defined type, too, it would not tell which is meant.
_COLLECTIONS = frozenset({dict, list, tuple, set, frozenset})
# Values that are written as one literal, and no expression.
_SCALARS: frozenset[type] = frozenset(
    {bool, bytes, int, float, str, type(None), Decimal, UUID, date, datetime, time}
)


class LiteralEncoder(Encoder):
    """Writes Python values as CQL literals; ``mapping`` may be changed as in the driver's encoder.

    A value of another class is written like its nearest base class in ``mapping``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mapping |= {
            array: self.cql_encode_list_collection,
            bool: self.cql_encode_bool,
            int: self.cql_encode_int,
            Duration: self.cql_encode_duration,
            UUID: self.cql_encode_uuid,
        }
        self._own: dict[type, Callable[[Any], str]] = {
            kind: self.mapping[kind] for kind in _SCALARS
        }

    def is_plain(self, value: object) -> bool:
        """Whether a value becomes one literal, and ``mapping`` was not changed for it."""
        kind: type = type(value)
        return kind in _SCALARS and self.mapping.get(kind) == self._own[kind]

    def cql_encode_object(self, val: Any) -> str:
        """Write a value whose class is not in ``mapping``.

        :raises TypeError: if there is no literal for it
        """
        for base in type(val).__mro__[1:]:
            if base in self.mapping:
                return self.mapping[base](val)
        # NumPy's.
        kind = getattr(getattr(val, "dtype", None), "kind", None)
        if kind == "b":
            return self.cql_encode_bool(bool(val))
        if kind == "f":
            return self.cql_encode_float(val)
        try:
            return self.cql_encode_int(operator.index(val))
        except TypeError:
            raise TypeError(
                f"{type(val).__name__} has no CQL literal: use ? for it, register its class for "
                "its user-defined type, or add the class to session.encoder.mapping"
            ) from None

    # One value

    def cql_encode_bool(self, val: Any) -> str:
        return "true" if val else "false"

    def cql_encode_int(self, val: Any) -> str:
        data = _VARINT.encode(val)
        number = int.from_bytes(data, signed=True)
        return str(number) if len(data) <= _SHORT_INT else digits_of(number)

    def cql_encode_float(self, val: Any) -> str:
        return super().cql_encode_float(_DOUBLE.decode(_DOUBLE.encode(val)))

    def cql_encode_decimal(self, val: Any) -> str:
        text = str(_DECIMAL.decode(_DECIMAL.encode(val)))
        if not text.lstrip("-").isdigit() and math.isinf(float(text)):
            # Cassandra's parser goes by way of a double.
            raise ValueError(
                f"{val} is over 1.8E+308, for which a decimal has no CQL literal: use ?"
            )
        return text

    def cql_encode_str(self, val: Any) -> str:
        text = val if type(val) is str else _TEXT.decode(_TEXT.encode(val))
        return "'" + text.replace("'", "''") + "'"

    def cql_encode_bytes(self, val: Any) -> str:
        return "0x" + _BLOB.encode(val).hex()

    def cql_encode_uuid(self, val: Any) -> str:
        return str(UUID(bytes=_UUID.encode(val)))

    def cql_encode_ipaddress(self, val: Any) -> str:
        text = _INET.decode(_INET.encode(val))
        if getattr(val, "ipv4_mapped", None) is not None:
            raise ValueError(f"{val}: the server would turn a literal into the IPv4 address: use ?")
        return f"'{text}'"

    def cql_encode_datetime(self, val: Any) -> str:
        """Write milliseconds since 1970, as the driver does."""
        return str(int.from_bytes(_TIMESTAMP.encode(val), signed=True))

    def cql_encode_date(self, val: Any) -> str:
        """Write a string, which cannot be mistaken for a timestamp; outside ``datetime.date``, CQL's number."""
        number = int.from_bytes(_DATE.encode(val))
        days = number - 2**31
        return f"'{date.fromordinal(days + _EPOCH)}'" if days in _DATES else str(number)

    cql_encode_date_ext = cql_encode_date

    def cql_encode_time(self, val: Any) -> str:
        seconds, nanoseconds = divmod(int.from_bytes(_TIME.encode(val)), 10**9)
        minutes, seconds = divmod(seconds, 60)
        return f"'{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{nanoseconds:09}'"

    def cql_encode_duration(self, val: Any) -> str:
        duration = _DURATION.decode(_DURATION.encode(val))
        parts = duration.months, duration.days, duration.nanoseconds
        if min(parts) < 0 < max(parts):
            raise ValueError(f"{val!r}: the parts of a duration must have the same sign")
        return str(duration)

    # Several values

    def cql_encode_list_collection(self, val: Any) -> str:
        return f"[{', '.join(self._elements(val, 'list'))}]"

    def cql_encode_set_collection(self, val: Any) -> str:
        return f"{{{', '.join(self._elements(val, 'set'))}}}"

    def _elements(self, values: Any, what: str) -> Iterator[str]:
        for index, value in enumerate(values):
            if value is None:
                raise ValueError(f"a {what} cannot hold null, and element {index} is None")
            yield self.cql_encode_all_types(value)

    def cql_encode_map_collection(self, val: Any) -> str:
        entries = []
        for key, value in val.items():
            if key is None:
                raise ValueError("a map cannot hold null, and a key is None")
            if value is None:
                raise ValueError(f"a map cannot hold null, and the value of key {key!r} is None")
            entries.append(f"{self.cql_encode_all_types(key)}: {self.cql_encode_all_types(value)}")
        return f"{{{', '.join(entries)}}}"

    def register(
        self, klass: type, user_type: str, field_names: Callable[[], Sequence[str]]
    ) -> None:
        """Write instances of a class as values of the user-defined type with these fields."""
        if klass in _COLLECTIONS:
            return

        def encode(value: Any) -> str:
            names = field_names()
            fields = zip(names, field_values(value, names, user_type), strict=True)
            entries = (
                f"{_quoted(name)}: {self.cql_encode_all_types(part)}" for name, part in fields
            )
            return f"{{{', '.join(entries)}}}"

        self.mapping[klass] = encode


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class _Named:
    """A mapping of names to literals, each written when it is asked for."""

    def __init__(self, parameters: Mapping[str, Any], encoder: Encoder) -> None:
        self.parameters = parameters
        self.encoder = encoder

    def __getitem__(self, name: str) -> str:
        try:
            value = self.parameters[name]
        except KeyError:
            known = ", ".join(repr(name) for name in self.parameters)
            raise ParameterValueError(
                f"parameter {name!r} is missing; given are {known or 'none'}"
            ) from None
        return _literal(value, name, -1, self.encoder)


def _literal(value: Any, name: str | int, index: int, encoder: Encoder) -> str:
    try:
        return encoder.cql_encode_all_types(value)
    except (TypeError, AttributeError, ValueError, ArithmeticError, LookupError) as error:
        is_type = isinstance(error, TypeError | AttributeError)
        kind = ParameterTypeError if is_type else ParameterRangeError
        where = f"{name!r}" if index < 0 else f"{index + 1}"
        # What a value's own code says, or quotes of the value, may be a secret.
        words = words_of(error, [value])
        said = f"its value raised {type(error).__name__}" if words is None else words
        refusal = kind(f"parameter {where}: {said}", None if words is None else error)
        refusal.parameter, refusal.index = name, index
    raise refusal


def write_parameters(text: str, parameters: Any, style: MarkerStyle, encoder: Encoder) -> str:
    """Write the parameters into a string as the driver does, Python's other ``%`` rules included.

    :raises ~async_cassandra.exceptions.ParameterTypeError: if they are neither a sequence nor a
        mapping, or one of them has no literal
    :raises ~async_cassandra.exceptions.ParameterValueError: if they are not those of the markers,
        or a literal cannot express one of them
    """
    try:
        check_parameters(parameters)
    except ParameterError as error:
        raise from_wire(error) from None
    if style is MarkerStyle.NONE and not parameters:
        return text
    if style is MarkerStyle.NONE:
        raise ParameterValueError(
            f"parameters were given for a query without markers: {without_literals(text[:200])}"
        )
    is_named = style is MarkerStyle.PERCENT_NAMED
    if isinstance(parameters, Mapping) is not is_named:
        wanted = "a mapping" if is_named else "a sequence"
        raise ParameterTypeError(
            f"parameters for {style.value} are {wanted}, not {type(parameters).__name__}"
        )
    try:
        if is_named:
            return text % _Named(parameters, encoder)
        return text % tuple(
            _literal(value, index, index, encoder) for index, value in enumerate(parameters)
        )
    except (ParameterTypeError, ParameterValueError):
        raise
    except (TypeError, ValueError) as error:
        raise ParameterValueError(
            f"the parameters do not fit the query's {style.value} markers: {error}", error
        ) from error
