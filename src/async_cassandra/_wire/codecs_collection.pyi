from typing import Any

from async_cassandra._wire.codec import Codec
from async_cassandra._wire.cqltypes import CqlType
from async_cassandra._wire.python_types import PythonTypes

class ListCodec(Codec):
    def __init__(self, cql_type: CqlType, element: Codec) -> None: ...

class SetCodec(ListCodec):
    def __init__(self, cql_type: CqlType, element: Codec, python_types: PythonTypes) -> None: ...

class MapCodec(Codec):
    def __init__(
        self, cql_type: CqlType, key: Codec, value: Codec, python_types: PythonTypes
    ) -> None: ...

class TupleCodec(Codec):
    def __init__(self, cql_type: CqlType, codecs: tuple[Codec, ...]) -> None: ...

class CompositeCodec(TupleCodec): ...

class UserTypeCodec(TupleCodec):
    def __init__(
        self,
        cql_type: CqlType,
        codecs: tuple[Codec, ...],
        python_types: PythonTypes,
        python_class: type[Any] | None,
    ) -> None: ...
    def register(self, python_class: type[Any] | None) -> None: ...

class VectorCodec(Codec):
    def __init__(self, cql_type: CqlType, element: Codec) -> None: ...

class ArrayVectorCodec(VectorCodec): ...
class ViewVectorCodec(VectorCodec): ...

def vector_codec(cql_type: CqlType, element: Codec, vectors: str) -> VectorCodec: ...
