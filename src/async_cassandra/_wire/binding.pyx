"""Encodes parameters to the values section of a request, and to the token that routes it."""

from collections.abc import Mapping, Sequence

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdint cimport INT64_MAX, INT64_MIN, int8_t, int32_t, int64_t, uint16_t, uint64_t

from async_cassandra._wire.buffer cimport (
    WriteBuffer, get_int, reserve, write_bytes, write_int, write_raw, write_short,
)
from async_cassandra._wire.codecs cimport Codec, CodecRegistry, write_sized
from async_cassandra._wire.protocol cimport NULL_LENGTH, UNSET_LENGTH
from async_cassandra._wire.rows cimport Column

from async_cassandra._wire.errors import (
    ParameterError,
    ParameterRangeError,
    ParameterTypeError,
    ParameterValueError,
    words_of,
)


DEF MAX_SCRATCH_BYTES = 65536

cdef WriteBuffer scratch = None


@cython.final
@cython.freelist(256)
@cython.no_gc
cdef class BoundValues:
    """Encoded parameters; immutable.

    :ivar payload: [short] count and the [value]s, the section of EXECUTE, QUERY and BATCH
    """

    @property
    def token(self):
        """The partition's Murmur3 token; ``None`` if the parameters do not tell the partition."""
        return self.token_value if self.has_token else None

    @property
    def routing_key(self):
        """The serialized partition key; ``None`` if the parameters do not tell it."""
        return self.plan.find_routing_key(self.payload) if self.has_token else None

    def encoded_values(self):
        """The values as a list of ``bytes``, ``None`` and unset."""
        if self.plan is None:
            return []
        cdef const unsigned char* at = <const unsigned char*>PyBytes_AS_STRING(self.payload)
        cdef Py_ssize_t position = 2
        cdef int32_t length
        cdef list values = []
        for _ in range(self.plan.count):
            length = <int32_t>get_int(at + position)
            position += 4
            if length >= 0:
                values.append(PyBytes_FromStringAndSize(<const char*>at + position, length))
                position += length
            else:
                values.append(None if length == NULL_LENGTH else self.plan.unset)
        return values

    @cython.nonecheck(True)
    def __repr__(self):
        return f"<BoundValues of {self.plan.count} parameters, {len(self.payload)} bytes>"


@cython.final
cdef class BindPlan:
    """How to encode the parameters of one prepared statement.

    :param columns: the parameters, at most 65535
    :param partition_key_indexes: positions of the parameters that make up the partition key, in
        the key's order; ``None`` or empty if they do not
    :param markers_named: whether the parameters' names are those of markers, and not of columns
    """

    def __cinit__(self, columns, CodecRegistry registry not None, partition_key_indexes=None, bint markers_named=False):
        self.columns = tuple(columns)
        self.count = len(self.columns)
        if self.count > 0xFFFF:
            raise ValueError(f"a statement has at most 65535 parameters, got {self.count}")
        self.codecs = tuple([parameter_codec(registry, <Column?>column, markers_named) for column in self.columns])
        self.unset = registry.python_types.unset
        cdef Py_ssize_t place
        cdef list indexes = []
        for index in partition_key_indexes or ():
            place = index
            if not 0 <= place < self.count:
                raise ValueError(f"no parameter {place} for the partition key")
            indexes.append(place)
        self.partition_key_indexes = tuple(indexes) if indexes else None

    cpdef BoundValues bind(self, values, bint partial=False):
        """Encode parameters given by position or by name.

        Missing names are unset, which leaves their columns as they are; names that the statement does not have
        are ignored, unless a name is missing: then it is probably misspelt.

        :param values: a sequence, a mapping from column name, or ``None`` for no values
        :param partial: whether positions may be missing at the end, which are unset then
        :raises ParameterTypeError: if a value's type does not fit
        :raises ParameterValueError: if a value is out of range or malformed, if there are too many or too few, if a
            name is misspelt, or if a part of the partition key is unset
        """
        global scratch
        cdef WriteBuffer out = scratch
        # Converting a value may run the application's code, which may bind again.
        scratch = None
        if out is None:
            out = WriteBuffer()
        try:
            self.write_values(out, values, partial)
            return self.finish(out)
        finally:
            if out.capacity <= MAX_SCRATCH_BYTES:
                out.size = 0
                scratch = out

    cpdef BoundValues bind_encoded(self, values):
        """Take values that are already encoded: a sequence of bytes, ``None`` and unset.

        :raises ParameterValueError: if there are too many, or one that must be encrypted is not
        """
        cdef WriteBuffer out = WriteBuffer()
        values = tuple(values)
        cdef Py_ssize_t count = len(values)
        self.check_count(count)
        write_short(out, <uint16_t>self.count)
        for index, value in enumerate(values):
            if value is self.unset:
                write_int(out, UNSET_LENGTH)
            else:
                if value is not None:
                    self.check_encoded(index, value)
                write_bytes(out, value)
        for _ in range(self.count - count):
            write_int(out, UNSET_LENGTH)
        return self.finish(out)

    cdef int check_encoded(self, Py_ssize_t index, object value) except -1:
        try:
            return (<Codec>self.codecs[index]).check_encoded(value)
        except ValueError as error:
            failure = self.parameter_error(index, error, [value])
        raise failure

    cdef int check_count(self, Py_ssize_t count, bint partial=True) except -1:
        if count > self.count:
            raise ParameterValueError(
                f"too many parameters: {count} given, the statement has {self.count}"
            )
        if count < self.count and not partial:
            raise ParameterValueError(
                f"too few parameters: {count} given, the statement has {self.count}; "
                f"{(<Column>self.columns[count]).name!r} is missing (UNSET_VALUE leaves a column as it is)"
            )
        return 0

    cdef int write_values(self, WriteBuffer out, object values, bint partial) except -1:
        """Append [short] count and the [value]s; on an error nothing stays behind."""
        cdef Py_ssize_t start = out.size
        cdef Py_ssize_t index = 0
        cdef Py_ssize_t given
        cdef object failure = None
        if type(values) is not list and type(values) is not tuple:
            values = self.in_order(values)
        try:
            given = len(values)
            self.check_count(given, partial)
            write_short(out, <uint16_t>self.count)
            while index < self.count:
                if index < len(values):
                    self.write_value(out, index, values[index])
                else:
                    self.write_value(out, index, self.unset)
                index += 1
            if len(values) != given:
                raise ParameterValueError(
                    f"the list of parameters had {given} values, and {len(values)} after they were read"
                )
        except ParameterError:
            out.size = start
            raise
        except MemoryError:
            out.size = start
            raise
        except Exception as error:  # noqa: BLE001  a value of the application's own class may raise anything
            out.size = start
            failure = self.parameter_error(index, error, values[index : index + 1])
        except BaseException:
            out.size = start
            raise
        if failure is not None:  # out here the error that says too much is not its context
            raise failure
        return 0

    cdef list in_order(self, object values):
        """The values as a list in the order of the parameters."""
        if values is None:
            return []
        if type(values) is dict:
            return self.by_name(values)
        try:
            check_parameters(values)
            return self.by_name(values) if isinstance(values, Mapping) else list(values)
        except ParameterError:
            raise
        except MemoryError:
            raise
        except (TypeError, AttributeError) as error:
            kind, said = ParameterTypeError, f"cannot be read: {type(error).__name__}"
        except Exception as error:  # noqa: BLE001  as in write_values
            kind, said = ParameterValueError, f"cannot be read: {type(error).__name__}"
        raise kind(f"parameters {said}")

    cdef list by_name(self, object values):
        cdef list ordered = []
        cdef list missing = []
        for column in self.columns:
            name = (<Column>column).name
            try:
                ordered.append(values[name])
            except KeyError:
                ordered.append(self.unset)
                missing.append(name)
        if missing:
            self.check_names(values, missing)
        return ordered

    cdef int check_names(self, object values, list missing) except -1:
        """Refuse names that the statement does not have beside those that are missing."""
        known = {(<Column>column).name for column in self.columns}
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ParameterValueError(
                f"parameters: {', '.join(map(repr, missing))} is missing, and the statement has no "
                f"{', '.join(map(repr, unknown))}. A name that is left out leaves its column as it is"
            )
        return 0

    cdef int write_value(self, WriteBuffer out, Py_ssize_t index, object value) except -1:
        if value is None:
            return write_int(out, NULL_LENGTH)
        if value is self.unset:
            if self.partition_key_indexes is not None and index in self.partition_key_indexes:
                raise ValueError("a part of the partition key has no value")
            return write_int(out, UNSET_LENGTH)
        return write_sized(out, <Codec>PyTuple_GET_ITEM(self.codecs, index), value)

    cdef object parameter_error(self, Py_ssize_t index, error, value):
        described = <Column>self.columns[index]
        kind = ParameterRangeError
        if isinstance(error, (TypeError, AttributeError)):
            kind = ParameterTypeError
        kind_of_value = (<Codec>self.codecs[index]).type_name()
        words = words_of(error, value)
        said = f"its value raised {type(error).__name__}" if words is None else words
        failure = kind(
            f"parameter {described.name!r} (position {index + 1}, {kind_of_value}): {said}", described.name, index
        )
        failure.__cause__ = None if words is None else error
        return failure

    cdef BoundValues finish(self, WriteBuffer out):
        """The values written, and their token; those of a large statement leave the buffer empty."""
        cdef BoundValues bound = BoundValues.__new__(BoundValues)
        bound.plan = self
        if self.partition_key_indexes is not None:
            bound.has_token = self.find_token(out.data, out.size, &bound.token_value)
        if out.size > MAX_SCRATCH_BYTES:
            bound.payload = out.detach()
        else:
            bound.payload = PyBytes_FromStringAndSize(<const char*>out.data, out.size)
        return bound

    cdef bint find_token(
        self, const unsigned char* at, Py_ssize_t size, int64_t* token
    ) except -1:
        """The token of values as ``write_values`` wrote them; false if they tell none."""
        cdef WriteBuffer key
        cdef Py_ssize_t position
        cdef int32_t length
        if self.partition_key_indexes is None:
            return False
        if PyTuple_GET_SIZE(self.partition_key_indexes) > 1:
            key = WriteBuffer()
            if not self.write_routing_key(key, at):
                return False
            token[0] = murmur3_token(key.data, key.size)
            return True
        position = find_value(at, <Py_ssize_t>self.partition_key_indexes[0])
        length = <int32_t>get_int(at + position)
        if length < 0:
            return False
        token[0] = murmur3_token(at + position + 4, length)
        return True

    cdef bint write_routing_key(self, WriteBuffer key, const unsigned char* at) except -1:
        """Append the serialized partition key; false if a part of it is null.

        Layout: one part as it is; several parts each with a [short] length before and a 0 after.
        """
        cdef Py_ssize_t position
        cdef int32_t length
        cdef bint composite = PyTuple_GET_SIZE(self.partition_key_indexes) > 1
        for index in self.partition_key_indexes:
            position = find_value(at, <Py_ssize_t>index)
            length = <int32_t>get_int(at + position)
            if length < 0:
                return False
            if composite and length > 0xFFFF:
                raise self.parameter_error(
                    index, ValueError(f"a part of the key has at most 65535 bytes, got {length}"), None
                )
            if composite:
                write_short(key, <uint16_t>length)
            write_raw(key, at + position + 4, length)
            if composite:
                reserve(key, 1)[0] = 0
        return True

    cdef bytes find_routing_key(self, bytes payload):
        cdef WriteBuffer key = WriteBuffer()
        if not self.write_routing_key(key, <const unsigned char*>PyBytes_AS_STRING(payload)):
            return None
        return bytes(key)

    def __repr__(self):
        return f"<BindPlan {', '.join([(<Column>column).name for column in self.columns])}>"


def check_parameters(values):
    """Refuse an object that gives parameters neither an order nor names, or is itself one value.

    :raises ParameterTypeError: unless it is a sequence or a mapping
    """
    # Not with a tuple of classes: Cython overlooks an error of the check then.
    is_one_value = isinstance(values, str) or isinstance(values, bytes) or isinstance(values, bytearray)
    if is_one_value or isinstance(values, memoryview) or not (
        isinstance(values, Sequence) or isinstance(values, Mapping)
    ):
        raise ParameterTypeError(
            f"parameters are a sequence (a list or a tuple) or a mapping, not {type(values).__name__}"
        )


cdef Codec parameter_codec(CodecRegistry registry, Column column, bint is_marker):
    return registry.parameter_codec(column.keyspace, column.table, column.name, column.type, is_marker)


cdef Py_ssize_t find_value(const unsigned char* at, Py_ssize_t index) noexcept:
    """Where the length of value ``index`` is, in values that were written here."""
    cdef Py_ssize_t position = 2
    for _ in range(index):
        position += 4 + max(<int32_t>get_int(at + position), 0)
    return position


# Tokens of Cassandra's Murmur3Partitioner

cdef uint64_t C1 = 0x87C37B91114253D5ULL
cdef uint64_t C2 = 0x4CF5AD432745937FULL


cdef inline uint64_t rotate(uint64_t value, int bits) noexcept nogil:
    return (value << bits) | (value >> (64 - bits))


cdef inline uint64_t mix(uint64_t value) noexcept nogil:
    value ^= value >> 33
    value *= 0xFF51AFD7ED558CCDULL
    value ^= value >> 33
    value *= 0xC4CEB9FE1A85EC53ULL
    return value ^ (value >> 33)


cdef inline uint64_t little_endian(const unsigned char* at) noexcept nogil:
    cdef uint64_t value = 0
    cdef int index
    for index in range(7, -1, -1):
        value = (value << 8) | at[index]
    return value


cdef inline uint64_t tail(const unsigned char* at, Py_ssize_t size) noexcept nogil:
    """The last bytes, sign-extended one by one as Cassandra's Java does."""
    cdef uint64_t value = 0
    cdef Py_ssize_t index
    for index in range(size):
        value ^= <uint64_t><int64_t><int8_t>at[index] << (8 * index)
    return value


cdef int64_t murmur3_token(const unsigned char* data, Py_ssize_t size) noexcept nogil:
    """The token of a partition key: the first half of its 128 bit MurmurHash3.

    Source: ``Murmur3Partitioner.getToken`` and ``MurmurHash.hash3_x64_128`` of Cassandra: bytes of
    the tail are signed, and the lowest int64, which is not a token, becomes the highest.
    """
    cdef uint64_t h1 = 0, h2 = 0
    cdef const unsigned char* at = data
    cdef Py_ssize_t rest = size & 15
    cdef int64_t token
    for _ in range(size >> 4):
        h1 ^= rotate(little_endian(at) * C1, 31) * C2
        h1 = (rotate(h1, 27) + h2) * 5 + 0x52DCE729
        h2 ^= rotate(little_endian(at + 8) * C2, 33) * C1
        h2 = (rotate(h2, 31) + h1) * 5 + 0x38495AB5
        at += 16
    if rest > 8:
        h2 ^= rotate(tail(at + 8, rest - 8) * C2, 33) * C1
    h1 ^= rotate(tail(at, min(rest, 8)) * C1, 31) * C2
    h1 ^= <uint64_t>size
    h2 ^= <uint64_t>size
    h1 += h2
    h2 += h1
    h1 = mix(h1) + mix(h2)
    token = <int64_t>h1
    return INT64_MAX if token == INT64_MIN else token


def token_of(bytes routing_key not None):
    """The token of a serialized partition key, -2**63 + 1 to 2**63 - 1."""
    return murmur3_token(
        <const unsigned char*>PyBytes_AS_STRING(routing_key), PyBytes_GET_SIZE(routing_key)
    )
