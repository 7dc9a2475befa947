"""Codecs of columns that the client encrypts.

What a policy and its user's classes raise may quote what must stay secret: none of it is repeated.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from async_cassandra._wire.buffer cimport WriteBuffer, write_raw
from async_cassandra._wire.codec cimport Codec
from async_cassandra._wire.cqltypes cimport LIST, CqlType

from async_cassandra._wire.codecs_collection import ListCodec
from async_cassandra._wire.errors import ProtocolError


cdef class EncryptedCodec(Codec):
    """Values of a type, encoded and then encrypted; ``cql_type`` is theirs, not the server's column's.

    :param described: what the encryption knows the column by
    """

    cdef Codec inner
    cdef object encryption
    cdef object described

    def __cinit__(self, CqlType cql_type not None, Codec inner not None, encryption, described):
        self.inner = inner
        self.encryption = encryption
        self.described = described
        self.atomic = inner.atomic
        self.shared = inner.shared
        self.secret = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        unfit = None
        try:
            plain = self.inner.encode(value)
        except (TypeError, AttributeError) as error:
            unfit = TypeError(unfit_text(value, error))
        except (ValueError, ArithmeticError, LookupError) as error:
            unfit = ValueError(unfit_text(value, error))
        if unfit is not None:
            raise unfit
        cdef bytes data = self.encryption.encrypt(self.described, plain)
        return write_raw(out, <const unsigned char*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        cdef bytes data = PyBytes_FromStringAndSize(<const char*>at, size)
        cdef bytes plain = self.encryption.decrypt(self.described, data)
        try:
            return self.inner.view(plain, 0, PyBytes_GET_SIZE(plain))
        except MemoryError:
            raise
        except Exception as error:
            unfit = ValueError(f"what was decrypted is not a value of that type: {type(error).__name__}")
        raise unfit

    cdef str type_name(self):
        return f"encrypted {self.cql_type}"


cdef str unfit_text(value, error):
    return (
        f"a value of Python type {type(value).__name__} does not fit: {type(error).__name__}, "
        "whose message could quote what must be encrypted"
    )


cdef class ParameterCodec(Codec):
    """A parameter of whose column the policy is asked each time: it may have got the column since.

    The elements of the list for ``c IN ?`` are values of ``c``.

    :param is_marker: whether the name is that of the parameter's marker
    """

    cdef object registry
    cdef Codec plain
    cdef str keyspace
    cdef str table
    cdef str name
    cdef str element
    cdef bint is_marker

    def __cinit__(self, CqlType cql_type not None, registry not None, str keyspace not None, str table not None,
                  str name not None, Codec plain not None, bint is_marker):
        self.registry = registry
        self.keyspace = keyspace
        self.table = table
        self.name = name
        self.plain = plain
        self.is_marker = is_marker
        if not is_marker and plain.cql_type.code == LIST and name.startswith("in(") and name.endswith(")"):
            self.element = name[3:-1]

    cdef Codec present(self):
        """The codec to use now.

        :raises ValueError: if it cannot be told, or the value could be one to encrypt
        """
        cdef Codec codec = self.registry.column_codec(self.keyspace, self.table, self.name, self.cql_type)
        if codec is not self.plain:
            return codec
        if self.element is not None:
            element_type = <CqlType>self.cql_type.subtypes[0]
            codec = self.registry.column_codec(self.keyspace, self.table, self.element, element_type)
            if isinstance(codec, EncryptedCodec):
                return ListCodec(self.cql_type, codec)
        self.registry.encryption.check_plain(self.keyspace, self.table, self.name, self.cql_type, self.is_marker)
        return self.plain

    cdef int write(self, WriteBuffer out, object value) except -1:
        return self.present().write(out, value)

    cdef int check_encoded(self, object data) except -1:
        codec = self.present()
        try:
            if codec is not self.plain:
                codec.decode(bytes(memoryview(data)))
            return 0
        except (ValueError, ProtocolError):
            unfit = ValueError("what was bound by another session is not encrypted by this session's policy")
        raise unfit

    cdef str type_name(self):
        cdef Codec codec = self.registry.column_codec(self.keyspace, self.table, self.name, self.cql_type)
        return codec.type_name()


cdef class UnusableCodec(Codec):
    """Of a column of which the policy could not say how to treat it."""

    cdef str reason

    def __cinit__(self, CqlType cql_type not None, str reason not None):
        self.reason = reason
        self.secret = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        raise ValueError(self.reason)

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        raise ValueError(self.reason)
