"""Codecs of numbers, text, blobs, UUIDs and addresses.

Source: native protocol v5, section 6; integers are big-endian two's complement.
"""

import decimal
import uuid
from collections.abc import Sequence

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_AsDouble, PyFloat_FromDouble
from cpython.long cimport PyLong_FromLongLong
from cpython.number cimport PyNumber_Float, PyNumber_Index
from cpython.tuple cimport PyTuple_GET_ITEM
from cpython.unicode cimport PyUnicode_AsASCIIString, PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8
from libc.math cimport isinf
from libc.stdint cimport INT64_MAX, INT64_MIN, int8_t, int16_t, int32_t, int64_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy

from async_cassandra._wire.buffer cimport (
    WriteBuffer, get_int, get_long, get_short, put_int, put_long, put_short, reserve, write_raw,
)
from async_cassandra._wire.codecs cimport Codec, raise_size, read_empty, refuse_masked, register, register_scalar
from async_cassandra._wire.cqltypes cimport (
    ASCII, BIGINT, BLOB, BOOLEAN, COUNTER, CUSTOM, DECIMAL, DOUBLE, FLOAT, INET, INT, SMALLINT, TEXT, TIMEUUID, TINYINT,
    UUID, VARCHAR, VARINT, CqlType,
)

from async_cassandra._wire.decimals import decimal_of, int_of_digits

__all__ = ()

cdef extern from *:
    """
    #if PY_VERSION_HEX >= 0x030D0000
    static PyObject* long_from_be(const unsigned char* at, Py_ssize_t size, int is_signed) {
        int flags = Py_ASNATIVEBYTES_BIG_ENDIAN;
        return is_signed ? PyLong_FromNativeBytes(at, (size_t)size, flags)
                         : PyLong_FromUnsignedNativeBytes(at, (size_t)size, flags);
    }
    #else
    static PyObject* long_from_be(const unsigned char* at, Py_ssize_t size, int is_signed) {
        return _PyLong_FromByteArray(at, (size_t)size, 0, is_signed);
    }
    #endif

    static Py_ssize_t slot_offset(PyObject* descriptor) {
        if (!Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) {
            return -1;
        }
        PyMemberDef* member = ((PyMemberDescrObject*)descriptor)->d_member;
        return member->type == 16 /* T_OBJECT_EX */ ? member->offset : -1;
    }

    static void fill_slot(PyObject* instance, Py_ssize_t offset, PyObject* value) {
        *(PyObject**)((char*)instance + offset) = Py_NewRef(value);
    }
    """
    object long_from_be(const unsigned char* at, Py_ssize_t size, int is_signed)
    Py_ssize_t slot_offset(object descriptor)
    void fill_slot(object instance, Py_ssize_t offset, object value)


cdef extern from "Python.h":
    ctypedef object (*allocfunc)(PyTypeObject* kind, Py_ssize_t count)
    ctypedef struct PyTypeObject:
        allocfunc tp_alloc
    void PyObject_GC_UnTrack(void* instance)
    long long PyLong_AsLongLongAndOverflow(object value, int* overflow) except? -1
    unsigned long long PyLong_AsUnsignedLongLongMask(object value) except? <unsigned long long>-1
    const char* PyUnicode_AsUTF8AndSize(object value, Py_ssize_t* size) except NULL
    int PyObject_GetBuffer(object value, Py_buffer* view, int flags) except -1
    void PyBuffer_Release(Py_buffer* view)
    bint PyObject_CheckBuffer(object value)
    int PyBUF_SIMPLE


# A subclass says what it is by its own methods: what lies in the fields that it has from its base may be nothing that
# it means, as in pandas.NaT.

cdef object as_int(object value):
    """An int itself from any object with ``__index__``."""
    if isinstance(value, int):
        value = type(value).__index__(value)
    return PyNumber_Index(value)


cdef str as_str(object value):
    """A str itself from a str or from one of a subclass."""
    if type(value) is str:
        return value
    if not isinstance(value, str):
        raise TypeError(f"a str is required, not {type(value).__name__}")
    data = value.encode("utf-8")
    if not isinstance(data, bytes):
        raise TypeError(f"encode() returned {type(data).__name__}, not bytes")
    return data.decode("utf-8")


cdef double as_double(object value) except? -1:
    """Any real number, as ``float()`` takes it."""
    if type(value) is not float:
        kind = getattr(getattr(value, "dtype", None), "kind", None)
        if kind is not None and kind not in "biuf":
            # NumPy's complex numbers, dates and the like give up a part of themselves.
            raise TypeError(f"a real number is required, not {type(value).__name__}")
        if isinstance(value, float):
            value = PyNumber_Float(value)
    return PyFloat_AsDouble(value)


# Integers

# Times of day, distances, counters: what the interpreter keeps of its own ends at 256.
DEF KEPT_INTEGERS = 4096
cdef tuple SMALL_INTEGERS = tuple(range(KEPT_INTEGERS))


cdef inline object make_integer(int64_t number):
    if 0 <= number < KEPT_INTEGERS:
        return <object>PyTuple_GET_ITEM(SMALL_INTEGERS, number)
    return PyLong_FromLongLong(number)


cdef int64_t as_integer(Codec codec, object value, int64_t lowest, int64_t highest) except? -1:
    """Any object with ``__index__``, as ``struct.pack`` takes it."""
    cdef int overflow = 0
    if type(value) is not int:
        value = as_int(value)
    cdef int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow or number < lowest or number > highest:
        raise OverflowError(f"{codec.cql_type} holds {lowest} to {highest}")
    return number


cdef class TinyintCodec(Codec):
    def __cinit__(self):
        self.atomic = self.ordered = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef int64_t number = as_integer(self, value, -0x80, 0x7F)
        reserve(out, 1)[0] = <unsigned char>number
        return 0

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 1:
            return PyLong_FromLongLong(<int8_t>at[0])
        return read_empty(self, size)


register_scalar(TINYINT, "tinyint", "ByteType", TinyintCodec, int)


cdef class SmallintCodec(Codec):
    def __cinit__(self):
        self.atomic = self.ordered = self.shared = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef int64_t number = as_integer(self, value, -0x8000, 0x7FFF)
        put_short(reserve(out, 2), <unsigned short>number)
        return 0

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 2:
            return make_integer(<int16_t>get_short(at))
        return read_empty(self, size)


register_scalar(SMALLINT, "smallint", "ShortType", SmallintCodec, int)


cdef class IntCodec(Codec):
    def __cinit__(self):
        self.atomic = self.ordered = self.shared = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef int64_t number = as_integer(self, value, -0x80000000LL, 0x7FFFFFFFLL)
        put_int(reserve(out, 4), <uint32_t>number)
        return 0

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 4:
            return make_integer(<int32_t>get_int(at))
        return read_empty(self, size)


register_scalar(INT, "int", "Int32Type", IntCodec, int, 4)


cdef class BigintCodec(Codec):
    """bigint and counter."""

    def __cinit__(self):
        self.atomic = self.ordered = self.shared = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef int64_t number = as_integer(self, value, INT64_MIN, INT64_MAX)
        put_long(reserve(out, 8), <uint64_t>number)
        return 0

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 8:
            return make_integer(<int64_t>get_long(at))
        return read_empty(self, size)


register_scalar(BIGINT, "bigint", "LongType", BigintCodec, int, 8)
register_scalar(COUNTER, "counter", "CounterColumnType", BigintCodec, int, 8)


cdef class BooleanCodec(Codec):
    """One byte, 0 for false and 1 for true; 0, 1 and NumPy's booleans are taken, too.

    Another byte would read as true, and be another key than 1.
    """

    def __cinit__(self):
        self.atomic = self.ordered = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef int64_t number
        if value is True:
            number = 1
        elif value is False:
            number = 0
        elif getattr(getattr(value, "dtype", None), "kind", None) == "b":
            number = 1 if value else 0
        else:
            number = as_integer(self, value, 0, 1)
        reserve(out, 1)[0] = <unsigned char>number
        return 0

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 1:
            return True if at[0] else False
        return read_empty(self, size)


register_scalar(BOOLEAN, "boolean", "BooleanType", BooleanCodec, bool, 1)


cdef int write_minimal(WriteBuffer out, object value) except -1:
    """Append an int in as few bytes of two's complement as hold it."""
    cdef int overflow = 0
    cdef int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow)
    cdef int64_t rest
    cdef Py_ssize_t size = 1
    cdef unsigned char big_endian[8]
    if overflow:
        bits = (~value if value < 0 else value).bit_length()
        data = value.to_bytes(bits // 8 + 1, "big", signed=True)
        return write_raw(out, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    rest = number >> 7
    while rest != 0 and rest != -1:
        rest >>= 8
        size += 1
    put_long(big_endian, <uint64_t>number)
    return write_raw(out, &big_endian[8 - size], size)


cdef inline int64_t short_varint(const unsigned char* at, Py_ssize_t size) noexcept:
    """The big-endian number in 1 to 8 bytes."""
    cdef Py_ssize_t index
    cdef uint64_t number = <uint64_t>-1 if at[0] & 0x80 else 0
    for index in range(size):
        number = (number << 8) | at[index]
    return <int64_t>number


cdef class VarintCodec(Codec):
    def __cinit__(self):
        self.atomic = self.ordered = self.shared = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        return write_minimal(out, value if type(value) is int else as_int(value))

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 0:
            return None
        return make_integer(short_varint(at, size)) if size <= 8 else long_from_be(at, size, True)


register_scalar(VARINT, "varint", "IntegerType", VarintCodec, int)


# Numbers with a fraction

cdef double get_float(const unsigned char* at) noexcept nogil:
    cdef uint32_t bits = get_int(at)
    cdef float value
    memcpy(&value, &bits, 4)
    return value


cdef double get_double(const unsigned char* at) noexcept nogil:
    cdef uint64_t bits = get_long(at)
    cdef double value
    memcpy(&value, &bits, 8)
    return value


cdef int put_float(unsigned char* at, double value) except -1:
    cdef float narrow = <float>value
    cdef uint32_t bits
    if isinf(narrow) and not isinf(value):
        raise OverflowError("float holds at most 3.4028235e+38 in magnitude")
    memcpy(&bits, &narrow, 4)
    put_int(at, bits)
    return 0


cdef int put_double(unsigned char* at, double value) noexcept nogil:
    cdef uint64_t bits
    memcpy(&bits, &value, 8)
    put_long(at, bits)
    return 0


cdef class FloatCodec(Codec):
    def __cinit__(self):
        self.atomic = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef double number = as_double(value)
        put_float(reserve(out, 4), number)
        return 0

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 4:
            return PyFloat_FromDouble(get_float(at))
        return read_empty(self, size)


register_scalar(FLOAT, "float", "FloatType", FloatCodec, float, 4)


cdef class DoubleCodec(Codec):
    def __cinit__(self):
        self.atomic = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef double number = as_double(value)
        put_double(reserve(out, 8), number)
        return 0

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 8:
            return PyFloat_FromDouble(get_double(at))
        return read_empty(self, size)


register_scalar(DOUBLE, "double", "DoubleType", DoubleCodec, float, 8)


cdef object Decimal = decimal.Decimal
# The bytes of a number whose digits int() and str() take under any limit that the interpreter can be set to (640).
cdef Py_ssize_t SHORT_NUMBER = 256


cdef object as_own_class(object value):
    """A value of a subclass of int, float or str as one of that class itself; others as they are."""
    if isinstance(value, int):
        return as_int(value)
    if isinstance(value, float):
        return as_double(value)
    return as_str(value) if isinstance(value, str) else value


cdef class DecimalCodec(Codec):
    """Layout: int32 scale, then the unscaled value as a varint; value = unscaled * 10**-scale."""

    def __cinit__(self):
        self.atomic = self.ordered = self.shared = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        sign, digits, exponent = self.parts(value)
        # The digits of a subclass may be anything, also what tells another length than it has.
        digits = tuple(digits)
        if not isinstance(exponent, int):
            raise ValueError(f"decimal has no {value}")
        cdef int64_t scale = as_integer(self, -exponent, -0x80000000LL, 0x7FFFFFFFLL)
        cdef int64_t small = 0, next_digit
        cdef object unscaled
        if len(digits) <= 18:
            for digit in digits:
                next_digit = digit
                if next_digit < 0 or next_digit > 9:
                    raise ValueError("a digit of a decimal is 0 to 9")
                small = small * 10 + next_digit
            unscaled = -small if sign else small
        else:
            unscaled = int_of_digits(digits)
            if sign:
                unscaled = -unscaled
        put_int(reserve(out, 4), <uint32_t>scale)
        return write_minimal(out, unscaled)

    cdef tuple parts(self, object value):
        """Sign, digits and exponent of a Decimal or of what Decimal() takes."""
        if not isinstance(value, Decimal) and not hasattr(value, "as_tuple"):
            try:
                value = Decimal(as_own_class(value))
            except decimal.InvalidOperation as error:
                raise ValueError("this is not a decimal number") from error
            except (TypeError, ValueError) as error:
                raise TypeError(f"{type(value).__name__} is not a decimal number") from error
        return tuple(value.as_tuple())

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        cdef char text[48]
        cdef int64_t exponent
        cdef int length
        if size == 0:
            return None
        if size < 5:
            raise_size(self, size)
        exponent = -<int64_t><int32_t>get_int(at)
        if size > SHORT_NUMBER:
            return decimal_of(long_from_be(at + 4, size - 4, True), exponent)
        if size > 12:
            return Decimal(f"{long_from_be(at + 4, size - 4, True)}E{exponent}")
        length = snprintf(
            text, sizeof(text), b"%lldE%lld", <long long>short_varint(at + 4, size - 4), <long long>exponent
        )
        return Decimal(PyUnicode_DecodeASCII(text, length, NULL))


register_scalar(DECIMAL, "decimal", "DecimalType", DecimalCodec, Decimal)


# Text and blobs

cdef class TextCodec(Codec):
    """text and varchar: UTF-8."""

    def __cinit__(self):
        self.atomic = self.ordered = self.shared = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef Py_ssize_t size
        cdef const char* data
        value = as_str(value)
        data = PyUnicode_AsUTF8AndSize(value, &size)
        return write_raw(out, data, size)

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        return PyUnicode_DecodeUTF8(<const char*>at, size, NULL)


register_scalar(TEXT, "text", "UTF8Type", TextCodec, str)
register_scalar(VARCHAR, "varchar", "", TextCodec, str)


cdef class AsciiCodec(Codec):
    def __cinit__(self):
        self.atomic = self.ordered = self.shared = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        data = PyUnicode_AsASCIIString(as_str(value))
        return write_raw(out, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        return PyUnicode_DecodeASCII(<const char*>at, size, NULL)


register_scalar(ASCII, "ascii", "AsciiType", AsciiCodec, str)


cdef class BlobCodec(Codec):
    """Bytes from what holds some: bytes-like objects, those with ``__bytes__``, and sequences of ints."""

    def __cinit__(self):
        self.atomic = self.ordered = self.shared = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef Py_buffer view
        if type(value) is not bytes:
            if type(value) is bytearray:
                PyObject_GetBuffer(value, &view, PyBUF_SIMPLE)
                try:
                    return write_raw(out, view.buf, view.len)
                finally:
                    PyBuffer_Release(&view)
            value = self.bytes_of(value)
        return write_raw(out, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))

    cdef bytes bytes_of(self, object value):
        """What ``bytes()`` makes of it; not of a number, for which that is zeros, nor of a set in its chance order."""
        cdef bint holds_bytes = hasattr(type(value), "__bytes__") or isinstance(value, Sequence)
        if not holds_bytes:
            # NumPy's scalars are buffers, too, but numbers and dates first.
            holds_bytes = PyObject_CheckBuffer(value) and getattr(value, "ndim", 1) != 0
        if not holds_bytes:
            raise TypeError(f"a bytes-like object is required, not {type(value).__name__}")
        refuse_masked(value)
        return bytes(value)

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        return PyBytes_FromStringAndSize(<const char*>at, size)


register_scalar(BLOB, "blob", "BytesType", BlobCodec, bytes)


cdef class CustomCodec(BlobCodec):
    """Types without a codec: the bytes as they are, empty ones as ``None``, as in the driver."""

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 0:
            return None
        return PyBytes_FromStringAndSize(<const char*>at, size)


register(CUSTOM, CustomCodec)


# UUIDs

cdef object UuidClass = uuid.UUID
cdef object UNKNOWN_SAFETY = uuid.SafeUUID.unknown
cdef Py_ssize_t INT_OFFSET = slot_offset(uuid.UUID.int)
cdef Py_ssize_t SAFETY_OFFSET = slot_offset(uuid.UUID.is_safe)


cdef class UuidCodec(Codec):
    """uuid and timeuuid: 16 bytes.

    An instance is filled by its two slots, because ``UUID.__init__`` checks what needs no check
    and takes seven times as long. It cannot be part of a cycle, so it needs no garbage collection.
    """

    def __cinit__(self):
        self.atomic = self.ordered = self.shared = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef unsigned char* at
        if type(value) is UuidClass:
            number = value.int
            high = PyLong_AsUnsignedLongLongMask(number >> 64)
            low = PyLong_AsUnsignedLongLongMask(number)
            at = reserve(out, 16)
            put_long(at, high)
            put_long(at + 8, low)
            return 0
        data = getattr(value, "bytes", None)
        if type(data) is not bytes:
            raise TypeError(f"a UUID is required, not {type(value).__name__}")
        if PyBytes_GET_SIZE(data) != 16:
            raise ValueError(f"a UUID has 16 bytes, not {PyBytes_GET_SIZE(data)}")
        return write_raw(out, PyBytes_AS_STRING(data), 16)

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 16:
            if INT_OFFSET < 0 or SAFETY_OFFSET < 0:
                return UuidClass(int=long_from_be(at, 16, False))
            number = long_from_be(at, 16, False)
            result = (<PyTypeObject*>UuidClass).tp_alloc(<PyTypeObject*>UuidClass, 0)
            fill_slot(result, INT_OFFSET, number)
            fill_slot(result, SAFETY_OFFSET, UNKNOWN_SAFETY)
            PyObject_GC_UnTrack(<void*>result)
            return result
        return read_empty(self, size)


register_scalar(UUID, "uuid", "UUIDType", UuidCodec, UuidClass, 16)
register_scalar(TIMEUUID, "timeuuid", "TimeUUIDType", UuidCodec, UuidClass, 16)


# Addresses

cdef class InetCodec(Codec):
    """4 or 16 bytes; strings in Python."""

    cdef object pack
    cdef object format

    def __cinit__(self, CqlType cql_type not None, tuple inner, python_types not None):
        self.atomic = self.ordered = self.shared = True
        self.pack = python_types.pack_inet
        self.format = python_types.format_inet

    cdef int write(self, WriteBuffer out, object value) except -1:
        data = self.pack(value)
        if type(data) is not bytes or PyBytes_GET_SIZE(data) not in (4, 16):
            raise ValueError("an IP address has 4 or 16 bytes")
        return write_raw(out, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        cdef char text[16]
        cdef int length
        if size == 4:
            length = snprintf(text, sizeof(text), b"%d.%d.%d.%d", at[0], at[1], at[2], at[3])
            return PyUnicode_DecodeASCII(text, length, NULL)
        if size == 16:
            return self.format(PyBytes_FromStringAndSize(<const char*>at, size))
        return read_empty(self, size)


register_scalar(INET, "inet", "InetAddressType", InetCodec, str)
