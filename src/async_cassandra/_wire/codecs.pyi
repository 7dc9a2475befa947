from collections.abc import Mapping
from typing import Any, Self, final

from async_cassandra._wire.cqltypes import CqlType
from async_cassandra._wire.encryption import Encryption
from async_cassandra._wire.python_types import PythonTypes

def value_classes() -> dict[int, type]: ...

class Codec:
    def __new__(cls, cql_type: CqlType) -> Self: ...
    @property
    def cql_type(self) -> CqlType: ...
    def encode(self, value: Any) -> bytes: ...
    def decode(self, data: bytes) -> Any: ...

@final
class CodecRegistry:
    def __new__(
        cls,
        python_types: PythonTypes,
        user_types: Mapping[tuple[str, str], type[Any]] | None = None,
        encryption: Encryption | None = None,
    ) -> Self: ...
    @property
    def python_types(self) -> PythonTypes: ...
    @property
    def user_types(self) -> dict[tuple[str, str], type[Any]]: ...
    @property
    def encryption(self) -> Encryption | None: ...
    def codec(self, cql_type: CqlType) -> Codec: ...
    def column_codec(self, keyspace: str, table: str, name: str, cql_type: CqlType) -> Codec: ...
    def register_user_type(
        self, keyspace: str, name: str, python_class: type[Any] | None
    ) -> None: ...

class EncryptedCodec(Codec):
    def __new__(
        cls, cql_type: CqlType, inner: Codec, encryption: Encryption, described: object
    ) -> Self: ...

class ParameterCodec(Codec):
    def __new__(
        cls,
        cql_type: CqlType,
        registry: CodecRegistry,
        keyspace: str,
        table: str,
        name: str,
        plain: Codec,
        is_marker: bool,
    ) -> Self: ...

class UnusableCodec(Codec):
    def __new__(cls, cql_type: CqlType, reason: str) -> Self: ...
