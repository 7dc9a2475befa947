from async_cassandra._wire.codec import Codec
from async_cassandra._wire.codecs import CodecRegistry, Encryption
from async_cassandra._wire.cqltypes import CqlType

class EncryptedCodec(Codec):
    def __init__(self, inner: Codec, encryption: Encryption, described: object) -> None: ...

class ParameterCodec(Codec):
    def __init__(
        self, registry: CodecRegistry, keyspace: str, table: str, name: str, plain: Codec
    ) -> None: ...

class UnusableCodec(Codec):
    def __init__(self, cql_type: CqlType, reason: str) -> None: ...
