from enum import IntEnum
from typing import Self, final

class TypeCode(IntEnum):
    CUSTOM = 0x0000
    ASCII = 0x0001
    BIGINT = 0x0002
    BLOB = 0x0003
    BOOLEAN = 0x0004
    COUNTER = 0x0005
    DECIMAL = 0x0006
    DOUBLE = 0x0007
    FLOAT = 0x0008
    INT = 0x0009
    TEXT = 0x000A
    TIMESTAMP = 0x000B
    UUID = 0x000C
    VARCHAR = 0x000D
    VARINT = 0x000E
    TIMEUUID = 0x000F
    INET = 0x0010
    DATE = 0x0011
    TIME = 0x0012
    SMALLINT = 0x0013
    TINYINT = 0x0014
    DURATION = 0x0015
    LIST = 0x0020
    MAP = 0x0021
    SET = 0x0022
    UDT = 0x0030
    TUPLE = 0x0031
    VECTOR = 0x10001
    COMPOSITE = 0x10002

@final
class CqlType:
    def __new__(
        cls,
        code: int,
        name: str,
        subtypes: tuple[CqlType, ...] = (),
        keyspace: str | None = None,
        field_names: tuple[str, ...] = (),
        dimension: int = 0,
    ) -> Self: ...
    @property
    def code(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def subtypes(self) -> tuple[CqlType, ...]: ...
    @property
    def keyspace(self) -> str | None: ...
    @property
    def field_names(self) -> tuple[str, ...]: ...
    @property
    def dimension(self) -> int: ...
    @property
    def fixed_size(self) -> int: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

class ClassNameParser:
    def __init__(self, text: str) -> None: ...

def parse_class_name(class_name: str) -> CqlType: ...
def scalar_names() -> tuple[str, ...]: ...
