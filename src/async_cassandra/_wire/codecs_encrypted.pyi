from typing import Self

from async_cassandra._wire.codec import Codec
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.cqltypes import CqlType
from async_cassandra._wire.encryption import Encryption

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
