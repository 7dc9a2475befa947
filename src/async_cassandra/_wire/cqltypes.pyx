"""CQL types, read from result metadata or from the names of Cassandra's marshal classes.

Source: native protocol v5, section 4.2.5.2 (the ``[option]`` of a column).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint16_t

from async_cassandra._wire.buffer cimport Cursor, decode_string, read_short, read_string

from async_cassandra._wire.errors import ProtocolError

# Bounds the recursion over types and values: a hostile peer could nest types until the stack ends.
cdef int MAX_DEPTH = 64
cdef Py_ssize_t MAX_VALUE_SIZE = 0x7FFFFFFF

cdef str MARSHAL = "org.apache.cassandra.db.marshal."

# What the codecs of the scalar types have told: code -> type, name of the marshal class -> type, code -> bytes of each
# value inside a vector.
cdef dict SCALARS = {}
cdef dict SCALAR_CLASSES = {}
cdef dict FIXED_SIZES = {}

cdef dict PART_COUNTS = {LIST: 1, SET: 1, MAP: 2, VECTOR: 1}


@cython.final
cdef class CqlType:
    """One CQL type, immutable and hashable; equal types compare equal.

    :ivar code: the protocol's option id; vectors and composites, which have none, get their own
    :ivar name: the CQL name; a user-defined type's own name; a custom type's class name
    :ivar subtypes: element types, key and value type, or the types of the fields
    :ivar keyspace: of a user-defined type, else ``None``
    :ivar field_names: of a user-defined type, else empty
    :ivar dimension: of a vector, else 0
    :ivar fixed_size: bytes of each value inside a vector; -1 if they differ
    """

    def __cinit__(
        self,
        int code,
        str name not None,
        tuple subtypes not None=(),
        keyspace=None,
        tuple field_names not None=(),
        Py_ssize_t dimension=0,
    ):
        check_parts(code, subtypes, field_names, dimension)
        self.code = code
        self.name = name
        self.subtypes = subtypes
        self.keyspace = keyspace
        self.field_names = field_names
        self.dimension = dimension
        self.fixed_size = FIXED_SIZES.get(code, -1)
        if code == VECTOR:
            self.fixed_size = vector_size((<CqlType?>subtypes[0]).fixed_size, dimension)
        self.hash_value = hash((code, name, subtypes, keyspace, field_names, dimension))

    def __hash__(self):
        return self.hash_value

    def __eq__(self, other):
        if self is other:
            return True
        if not isinstance(other, CqlType):
            return NotImplemented
        cdef CqlType that = other
        return (
            self.hash_value == that.hash_value
            and self.code == that.code
            and self.name == that.name
            and self.keyspace == that.keyspace
            and self.dimension == that.dimension
            and self.field_names == that.field_names
            and self.subtypes == that.subtypes
        )

    def __reduce__(self):
        return CqlType, (
            self.code, self.name, self.subtypes, self.keyspace, self.field_names, self.dimension
        )

    def __str__(self):
        """The type as CQL writes it."""
        if self.code == CUSTOM or self.code == COMPOSITE:
            return f"'{self.name}'"
        if self.code == UDT or not self.subtypes:
            return self.name
        inner = ", ".join([str(subtype) for subtype in self.subtypes])
        if self.code == VECTOR:
            inner = f"{inner}, {self.dimension}"
        return f"{self.name}<{inner}>"

    def __repr__(self):
        return f"<CqlType {self}>"


cdef int check_parts(int code, tuple subtypes, tuple field_names, Py_ssize_t dimension) except -1:
    """See that a type has the parts which its codec will look for."""
    cdef Py_ssize_t wanted = PART_COUNTS.get(code, len(subtypes))
    for subtype in subtypes:
        (<CqlType?>subtype)
    if len(subtypes) != wanted or (code == UDT and len(field_names) != len(subtypes)) or dimension < 0:
        raise ValueError(
            f"no type of code {code:#x} has {len(subtypes)} types, {len(field_names)} names, {dimension} elements"
        )
    return 0


cdef Py_ssize_t vector_size(Py_ssize_t element_size, Py_ssize_t dimension) except -2:
    if element_size < 0:
        return -1
    if element_size > 0 and dimension > MAX_VALUE_SIZE // element_size:
        raise ProtocolError(f"a vector of {dimension} elements of {element_size} bytes")
    return element_size * dimension


cdef int add_scalar(int code, str name, str marshal_classes, Py_ssize_t fixed_size) except -1:
    """As ``codecs.register_scalar``, which calls it."""
    FIXED_SIZES[code] = fixed_size
    SCALARS[code] = CqlType(code, name)
    for class_name in marshal_classes.split():
        SCALAR_CLASSES[class_name] = SCALARS[code]
    return 0


def scalar_names():
    """The names of the scalar types in CQL."""
    return tuple([(<CqlType>scalar).name for scalar in SCALARS.values()])


cdef CqlType read_type(Cursor* cursor):
    """Read the ``[option]`` that describes a column's type."""
    return read_nested(cursor, 0)


cdef CqlType read_nested(Cursor* cursor, int depth):
    if depth > MAX_DEPTH:
        raise ProtocolError(f"a type nested deeper than {MAX_DEPTH}")
    cdef uint16_t code = read_short(cursor)
    scalar = SCALARS.get(code)
    if scalar is not None:
        return scalar
    if code == LIST:
        return CqlType(LIST, "list", (read_nested(cursor, depth + 1),))
    if code == SET:
        return CqlType(SET, "set", (read_nested(cursor, depth + 1),))
    if code == MAP:
        key = read_nested(cursor, depth + 1)
        return CqlType(MAP, "map", (key, read_nested(cursor, depth + 1)))
    if code == TUPLE:
        count = read_short(cursor)
        fields = [read_nested(cursor, depth + 1) for _ in range(count)]
        return CqlType(TUPLE, "tuple", tuple(fields))
    if code == UDT:
        return read_user_type(cursor, depth)
    if code == CUSTOM:
        return read_custom_type(read_string(cursor))
    raise ProtocolError(f"unknown type code 0x{code:04x}")


cdef CqlType read_user_type(Cursor* cursor, int depth):
    keyspace = read_string(cursor)
    name = read_string(cursor)
    cdef list field_names = []
    cdef list fields = []
    for _ in range(read_short(cursor)):
        field_names.append(read_string(cursor))
        fields.append(read_nested(cursor, depth + 1))
    return CqlType(UDT, name, tuple(fields), keyspace, tuple(field_names))


cdef CqlType read_custom_type(str class_name):
    """A class whose name cannot be parsed is an unknown one; no answer is lost for it."""
    try:
        return parse_class_name(class_name)
    except ProtocolError:
        return CqlType(CUSTOM, class_name)


cpdef CqlType parse_class_name(str class_name):
    """Read the name of a marshal class, such as ``VectorType(FloatType , 3)``.

    Unknown classes become custom types, whose values stay bytes.

    :raises ProtocolError: if the name is malformed
    """
    parser = ClassNameParser(class_name)
    cql_type = parser.read_class(0)
    if parser.position != len(class_name):
        raise parser.malformed()
    return cql_type


cdef class ClassNameParser:
    """Recursive descent over ``Name(argument, alias:argument, alias=>argument, 3)``."""

    cdef str text
    cdef Py_ssize_t position

    def __init__(self, str text):
        self.text = text
        self.position = 0

    cdef object malformed(self):
        return ProtocolError(f"malformed type name {self.text!r} at {self.position}")

    cdef int skip_blank(self) except -1:
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1
        return 0

    cdef bint accept(self, str token) except -1:
        self.skip_blank()
        if not self.text.startswith(token, self.position):
            return False
        self.position += len(token)
        self.skip_blank()
        return True

    cdef str read_word(self):
        self.skip_blank()
        cdef Py_ssize_t start = self.position
        while self.position < len(self.text):
            character = self.text[self.position]
            if not (character.isalnum() or character in "_.-+$"):
                break
            self.position += 1
        if self.position == start:
            raise self.malformed()
        word = self.text[start:self.position]
        self.skip_blank()
        return word

    cdef CqlType read_class(self, int depth):
        return self.finish_class(self.read_word(), depth)

    cdef CqlType finish_class(self, str word, int depth):
        """Read the arguments of the class whose name was just read."""
        if depth > MAX_DEPTH:
            raise ProtocolError(f"a type nested deeper than {MAX_DEPTH}")
        cdef str name = word[len(MARSHAL):] if word.startswith(MARSHAL) else word
        scalar = SCALAR_CLASSES.get(name)
        if scalar is not None:
            return scalar
        cdef Py_ssize_t start = self.position
        if not self.accept("("):
            return CqlType(CUSTOM, word)
        if name == "UserType":
            return self.read_user_type(depth)
        if name == "VectorType":
            return self.read_vector(depth)
        arguments = self.read_arguments(depth)
        if name in ("FrozenType", "ReversedType") and len(arguments) == 1:
            return arguments[0]
        if name == "ListType" and len(arguments) == 1:
            return CqlType(LIST, "list", arguments)
        if name == "SetType" and len(arguments) == 1:
            return CqlType(SET, "set", arguments)
        if name == "MapType" and len(arguments) == 2:
            return CqlType(MAP, "map", arguments)
        if name == "TupleType":
            return CqlType(TUPLE, "tuple", arguments)
        whole = word + self.text[start:self.position].rstrip()
        return CqlType(COMPOSITE if name == "CompositeType" else CUSTOM, whole, arguments)

    cdef tuple read_arguments(self, int depth):
        cdef list arguments = []
        while not self.accept(")"):
            if arguments and not self.accept(","):
                raise self.malformed()
            word = self.read_word()
            if self.accept("=>") or self.accept(":"):
                word = self.read_word()
            arguments.append(self.finish_class(word, depth + 1))
        return tuple(arguments)

    cdef CqlType read_vector(self, int depth):
        element = self.read_class(depth + 1)
        if not self.accept(","):
            raise self.malformed()
        word = self.read_word()
        if not word.isdecimal() or len(word) > 10 or int(word) > MAX_VALUE_SIZE:
            raise self.malformed()
        if not self.accept(")"):
            raise self.malformed()
        return CqlType(VECTOR, "vector", (element,), None, (), int(word))

    cdef CqlType read_user_type(self, int depth):
        keyspace = self.read_word()
        if not self.accept(","):
            raise self.malformed()
        name = self.read_hex()
        cdef list field_names = []
        cdef list fields = []
        while self.accept(","):
            field_names.append(self.read_hex())
            if not self.accept(":"):
                raise self.malformed()
            fields.append(self.read_class(depth + 1))
        if not self.accept(")"):
            raise self.malformed()
        return CqlType(UDT, name, tuple(fields), keyspace, tuple(field_names))

    cdef str read_hex(self):
        """Read a name that Cassandra wrote as the hexadecimal digits of its UTF-8."""
        word = self.read_word()
        cdef bytes name
        try:
            name = bytes.fromhex(word)
        except ValueError as error:
            raise self.malformed() from error
        return decode_string(<const unsigned char*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
