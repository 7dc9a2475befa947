from async_cassandra._wire.codec import Codec
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.cqltypes import CqlType
from async_cassandra._wire.encryption import Encryption

class EncryptedCodec(Codec):
    def __init__(self, inner: Codec, encryption: Encryption, described: object) -> None: ...

class ParameterCodec(Codec):
    def __init__(
        self,
        registry: CodecRegistry,
        keyspace: str,
        table: str,
        name: str,
        plain: Codec,
        is_marker: bool,
    ) -> None: ...

class UnusableCodec(Codec):
    def __init__(self, cql_type: CqlType, reason: str) -> None: ...
