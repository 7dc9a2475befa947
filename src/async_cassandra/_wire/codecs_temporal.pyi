from typing import Self

from async_cassandra._wire.codec import Codec
from async_cassandra._wire.cqltypes import CqlType
from async_cassandra._wire.python_types import PythonTypes

class TimestampCodec(Codec): ...

class DateCodec(Codec):
    def __new__(cls, cql_type: CqlType, python_types: PythonTypes) -> Self: ...

class TimeCodec(Codec):
    def __new__(cls, cql_type: CqlType, python_types: PythonTypes) -> Self: ...

class DurationCodec(Codec):
    def __new__(cls, cql_type: CqlType, python_types: PythonTypes) -> Self: ...
