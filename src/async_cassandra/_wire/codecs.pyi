from collections.abc import Mapping
from typing import Any, Self, final

from async_cassandra._wire.codec import Codec as Codec
from async_cassandra._wire.cqltypes import CqlType
from async_cassandra._wire.encryption import Encryption
from async_cassandra._wire.python_types import PythonTypes

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
