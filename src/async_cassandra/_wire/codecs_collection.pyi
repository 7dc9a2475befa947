from typing import Any, Self

from async_cassandra._wire.codec import Codec
from async_cassandra._wire.cqltypes import CqlType
from async_cassandra._wire.python_types import PythonTypes

class ListCodec(Codec):
    def __new__(cls, cql_type: CqlType, element: Codec) -> Self: ...

class SetCodec(ListCodec):
    def __new__(cls, cql_type: CqlType, element: Codec, python_types: PythonTypes) -> Self: ...

class MapCodec(Codec):
    def __new__(
        cls, cql_type: CqlType, key: Codec, value: Codec, python_types: PythonTypes
    ) -> Self: ...

class TupleCodec(Codec):
    def __new__(cls, cql_type: CqlType, codecs: tuple[Codec, ...]) -> Self: ...

class CompositeCodec(TupleCodec): ...

class UserTypeCodec(TupleCodec):
    def __new__(
        cls,
        cql_type: CqlType,
        codecs: tuple[Codec, ...],
        python_types: PythonTypes,
        python_class: type[Any] | None,
    ) -> Self: ...
    def register(self, python_class: type[Any] | None) -> None: ...

class VectorCodec(Codec):
    def __new__(cls, cql_type: CqlType, element: Codec) -> Self: ...

class ArrayVectorCodec(VectorCodec): ...
class ViewVectorCodec(VectorCodec): ...

def vector_codec(cql_type: CqlType, element: Codec, vectors: str) -> VectorCodec: ...
