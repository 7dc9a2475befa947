"""The codec of every CQL type."""

cimport cython

from async_cassandra._wire.codec cimport Codec
from async_cassandra._wire.cqltypes cimport (
    ASCII, BIGINT, BLOB, BOOLEAN, COMPOSITE, COUNTER, DATE, DECIMAL, DOUBLE, DURATION, FLOAT, INET,
    INT, LIST, MAP, SET, SMALLINT, TEXT, TIME, TIMESTAMP, TIMEUUID, TINYINT, TUPLE, UDT, UUID,
    VARCHAR, VARINT, VECTOR, CqlType,
)

from async_cassandra._wire import codecs_collection as collection
from async_cassandra._wire import codecs_encrypted as encrypted
from async_cassandra._wire import codecs_scalar as scalar
from async_cassandra._wire import codecs_temporal as temporal
from async_cassandra._wire.codec import Codec as Codec
from async_cassandra._wire.errors import ProtocolError

cdef dict PLAIN = {
    ASCII: scalar.AsciiCodec, BIGINT: scalar.BigintCodec, BLOB: scalar.BlobCodec,
    BOOLEAN: scalar.BooleanCodec, COUNTER: scalar.BigintCodec, DECIMAL: scalar.DecimalCodec,
    DOUBLE: scalar.DoubleCodec, FLOAT: scalar.FloatCodec, INT: scalar.IntCodec,
    SMALLINT: scalar.SmallintCodec, TEXT: scalar.TextCodec, TIMESTAMP: temporal.TimestampCodec,
    TIMEUUID: scalar.UuidCodec, TINYINT: scalar.TinyintCodec, UUID: scalar.UuidCodec,
    VARCHAR: scalar.TextCodec, VARINT: scalar.VarintCodec,
}

cdef dict WITH_PYTHON_TYPES = {
    DATE: temporal.DateCodec, DURATION: temporal.DurationCodec, INET: scalar.InetCodec,
    TIME: temporal.TimeCodec,
}

# Columns with more keys than this are not encrypted ones but what a policy says of any name.
DEF MAX_ENCRYPTED = 4096


@cython.final
cdef class CodecRegistry:
    """Builds each type's codec once.

    :param python_types: the classes that values become
    :param user_types: (keyspace, name of the type) -> class called with its fields as keywords
    :param encryption: knows the columns that the client encrypts, ``None`` for no such columns
    """

    def __cinit__(self, python_types not None, user_types=None, encryption=None):
        self.python_types = python_types
        self.user_types = dict(user_types or {})
        self.encryption = encryption
        self.codecs = {}
        self.encrypted = {}

    cpdef Codec codec(self, CqlType cql_type):
        """The codec of a type, always the same for equal types.

        :raises ProtocolError: if there can be no Python class for it, as for a name with a NUL
        """
        codec = self.codecs.get(cql_type)
        if codec is None:
            try:
                codec = self.codecs[cql_type] = self.build(cql_type)
            except ValueError as error:
                raise ProtocolError(f"no Python class for type {cql_type}: {error}") from error
        return codec

    cpdef Codec column_codec(self, str keyspace, str table, str name, CqlType cql_type):
        """The codec of a column as the encryption has it now; the same as long as that says the same."""
        cdef Codec codec
        if self.encryption is None:
            return self.codec(cql_type)
        try:
            value_type = self.encryption.value_type(keyspace, table, name)
            if value_type is None:
                return self.codec(cql_type)
        except ValueError as error:
            value_type = str(error)
        key = keyspace, table, name, cql_type, value_type
        codec = self.encrypted.get(key)
        if codec is None:
            if isinstance(value_type, str):
                codec = encrypted.UnusableCodec(cql_type, value_type)
            else:
                described = self.encryption.described(keyspace, table, name)
                codec = encrypted.EncryptedCodec(value_type, self.codec(value_type), self.encryption, described)
            if len(self.encrypted) >= MAX_ENCRYPTED:
                self.encrypted.clear()
            self.encrypted[key] = codec
        return codec

    cdef Codec parameter_codec(self, str keyspace, str table, str name, CqlType cql_type, bint is_marker):
        """The codec of a statement's parameter, which follows what the encryption says at each value."""
        cdef Codec codec = self.codec(cql_type)
        if self.encryption is None:
            return codec
        return encrypted.ParameterCodec(cql_type, self, keyspace, table, name, codec, is_marker)

    def register_user_type(self, str keyspace not None, str name not None, python_class):
        """Decode a user-defined type to ``python_class``, in plans that exist too.

        :param python_class: called with the fields as keywords; ``None`` for a named tuple
        """
        key = keyspace, name
        if python_class is None:
            self.user_types.pop(key, None)
        else:
            self.user_types[key] = python_class
        for codec in list(self.codecs.values()):
            cql_type = codec.cql_type
            if cql_type.code == UDT and (cql_type.keyspace, cql_type.name) == key:
                codec.register(python_class)

    cdef Codec build(self, CqlType cql_type):
        if cql_type is None:
            raise TypeError("a CQL type is required, not None")
        cdef int code = cql_type.code
        python_types = self.python_types
        if code in PLAIN:
            return PLAIN[code](cql_type)
        if code in WITH_PYTHON_TYPES:
            return WITH_PYTHON_TYPES[code](cql_type, python_types)
        if code not in (LIST, SET, MAP, TUPLE, UDT, VECTOR, COMPOSITE):
            return scalar.CustomCodec(cql_type)
        inner = tuple([self.codec(subtype) for subtype in cql_type.subtypes])
        if code == LIST:
            return collection.ListCodec(cql_type, inner[0])
        if code == SET:
            return collection.SetCodec(cql_type, inner[0], python_types)
        if code == MAP:
            return collection.MapCodec(cql_type, inner[0], inner[1], python_types)
        if code == TUPLE:
            return collection.TupleCodec(cql_type, inner)
        if code == VECTOR:
            return collection.vector_codec(cql_type, inner[0], python_types.vectors)
        if code == COMPOSITE:
            return collection.CompositeCodec(cql_type, inner)
        python_class = self.user_types.get((cql_type.keyspace, cql_type.name))
        return collection.UserTypeCodec(cql_type, inner, python_types, python_class)
