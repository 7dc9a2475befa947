from async_cassandra._wire.codec import Codec
from async_cassandra._wire.cqltypes import CqlType
from async_cassandra._wire.python_types import PythonTypes

class TimestampCodec(Codec): ...

class DateCodec(Codec):
    def __init__(self, cql_type: CqlType, python_types: PythonTypes) -> None: ...

class TimeCodec(Codec):
    def __init__(self, cql_type: CqlType, python_types: PythonTypes) -> None: ...

class DurationCodec(Codec):
    def __init__(self, cql_type: CqlType, python_types: PythonTypes) -> None: ...
