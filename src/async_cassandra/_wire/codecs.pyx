"""What every codec does, which codec a type or a column has, and the codecs of columns that the client encrypts.

The codecs of the types are in ``codecs_scalar``, ``codecs_temporal``, ``codecs_collection`` and ``codecs_vector``. Each
registers itself there, and nowhere else is a list of them; the package imports those modules first.
"""

from collections.abc import Mapping

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from async_cassandra._wire.buffer cimport WriteBuffer, put_int, reserve, write_raw
from async_cassandra._wire.cqltypes cimport CUSTOM, LIST, UDT, CqlType, add_scalar

from async_cassandra._wire.errors import ProtocolError

# Columns with more keys than this are not encrypted ones but what a policy says of any name.
DEF MAX_ENCRYPTED = 4096

# Type code -> class of its codec; of a scalar type, type code -> class of its values if that is one of Python's own.
cdef dict CODECS = {}
cdef dict VALUE_CLASSES = {}


cdef int register(int code, object codec_class) except -1:
    """Make known which codec the types of a code have.

    :param codec_class: called with the type, its parts' codecs as a tuple, and the :class:`PythonTypes`
    """
    CODECS[code] = codec_class
    return 0


cdef int register_scalar(
    int code, str name, str marshal_classes, object codec_class, object value_class, Py_ssize_t fixed_size=-1
) except -1:
    """Make a scalar type known.

    :param name: in CQL
    :param marshal_classes: the names of Cassandra's classes for it, parted by spaces; the first one is the present one
    :param value_class: what its values become; ``None`` for what :class:`PythonTypes` has for it
    :param fixed_size: bytes of each value where a vector has no lengths between its elements; -1 where it has them, as
        of date, time, smallint and tinyint (``AbstractType.valueLengthIfFixed``)
    """
    add_scalar(code, name, marshal_classes, fixed_size)
    if value_class is not None:
        VALUE_CLASSES[code] = value_class
    return register(code, codec_class)


def value_classes():
    """Type code -> class of the values, of the scalar types with one of Python's own."""
    return dict(VALUE_CLASSES)


# What a value may be

cdef int refuse_masked(object value) except -1:
    """Refuse NumPy's arrays that have places without a value: what lies in their memory there is nobody's."""
    for base in type(value).__mro__:
        if base.__module__.startswith("numpy.ma"):
            raise TypeError("a masked array has places without a value: fill them first, with its filled()")
    return 0


cdef bint is_one_value(object value) except -1:
    """Whether it is a text, bytes or a mapping, which has more than its keys."""
    # Not with a tuple of classes: Cython overlooks an error of the check then.
    return (
        isinstance(value, str) or isinstance(value, bytes) or isinstance(value, bytearray)
        or isinstance(value, Mapping)
    )


cdef Py_ssize_t ordered_length(object value) except -1:
    """The length of what has its items in an order that its user sees, as a set has not."""
    if type(value) is not list and type(value) is not tuple:
        refuse_masked(value)
        if is_one_value(value) or isinstance(value, set) or isinstance(value, frozenset):
            raise TypeError(f"a sequence is required, not {type(value).__name__}")
    return len(value)


cdef class Codec:
    """Encodes and decodes the values of one CQL type; stateless, shared by all plans.

    ``write`` appends a value's body without its length; it raises TypeError, ValueError or
    OverflowError, and may leave a part of the value behind. ``read`` never looks past ``size``
    bytes; it raises ProtocolError for bytes that are not a value of the type, and ValueError or
    OverflowError for a value that Python cannot hold.
    """

    def __cinit__(self, CqlType cql_type not None, *_):
        self.cql_type = cql_type

    cdef int write(self, WriteBuffer out, object value) except -1:
        raise TypeError(f"values of type {self.cql_type} cannot be sent")

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        raise ValueError(f"values of type {self.cql_type} cannot be read")

    cdef object view(self, bytes data, Py_ssize_t start, Py_ssize_t size):
        """As ``read``, of the ``size`` bytes of ``data`` from ``start`` on, all of which the value may keep."""
        return self.read(<const unsigned char*>PyBytes_AS_STRING(data) + start, size)

    cdef int check_encoded(self, object data) except -1:
        """Refuse a parameter's bytes that did not come from here and must not be sent."""
        return 0

    cdef str type_name(self):
        """What an error calls the values."""
        return str(self.cql_type)

    def encode(self, value):
        """Encode a value without its length.

        :raises TypeError: if its Python type does not fit
        :raises ValueError: if it is malformed
        :raises OverflowError: if it is out of range
        """
        cdef WriteBuffer out = WriteBuffer()
        self.write(out, value)
        return bytes(out)

    def decode(self, bytes data not None):
        """Decode a value's bytes; the empty value is ``None``, except for text and blobs.

        :raises ProtocolError: if the bytes are not a value of this type
        :raises ValueError: if Python cannot hold the value (or OverflowError)
        """
        return self.view(data, 0, PyBytes_GET_SIZE(data))

    def __repr__(self):
        return f"<{type(self).__name__} {self.cql_type}>"


cdef int raise_size(Codec codec, Py_ssize_t size) except -1:
    raise ProtocolError(f"{size} bytes are not a value of type {codec.cql_type}")


cdef object read_empty(Codec codec, Py_ssize_t size):
    """Read a value that has not its type's fixed size: the empty value is ``None``, any other is refused."""
    if size != 0:
        raise_size(codec, size)
    return None


cdef int write_sized(WriteBuffer out, Codec codec, object value) except -1:
    """Append a value with its [int] length before it."""
    cdef Py_ssize_t start = out.size
    reserve(out, 4)
    codec.write(out, value)
    cdef Py_ssize_t size = out.size - start - 4
    if size > 0x7FFFFFFF:
        raise ValueError(f"a value holds at most 2147483647 bytes, got {size}")
    put_int(out.data + start, <unsigned int>size)
    return 0

cdef Codec part_codec(tuple inner, Py_ssize_t index):
    """The codec of a part, of those that a codec is made with.

    :raises TypeError: if there is none
    """
    if index >= len(inner):
        raise TypeError(f"the codec of part {index} is missing")
    return <Codec?>inner[index]


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
                codec = UnusableCodec(cql_type, value_type)
            else:
                described = self.encryption.described(keyspace, table, name)
                codec = EncryptedCodec(value_type, self.codec(value_type), self.encryption, described)
            if len(self.encrypted) >= MAX_ENCRYPTED:
                self.encrypted.clear()
            self.encrypted[key] = codec
        return codec

    cdef Codec parameter_codec(self, str keyspace, str table, str name, CqlType cql_type, bint is_marker):
        """The codec of a statement's parameter, which follows what the encryption says at each value."""
        cdef Codec codec = self.codec(cql_type)
        if self.encryption is None:
            return codec
        return ParameterCodec(cql_type, self, keyspace, table, name, codec, is_marker)

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
        cdef int code = cql_type.code if cql_type.code in CODECS else CUSTOM
        # Of a class that is not known, what is in its parentheses need not be, either.
        inner = () if code == CUSTOM else tuple([self.codec(subtype) for subtype in cql_type.subtypes])
        codec = CODECS[code](cql_type, inner, self.python_types)
        if code == UDT:
            codec.register(self.user_types.get((cql_type.keyspace, cql_type.name)))
        return codec


# Columns that the client encrypts. What a policy and its user's classes raise may quote what is to stay secret: none of
# it is repeated.

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
                return CODECS[LIST](self.cql_type, (codec,), None)
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
