"""Result metadata, and pages of rows that decode on demand.

Source: native protocol v5, sections 4.2.5.2 (Rows) and 4.2.5.4 (Prepared).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int32_t, uint32_t
from libc.string cimport memcmp

from async_cassandra._wire.buffer cimport (
    Cursor, get_int, raise_truncated, read_bytes, read_int, read_short, read_short_bytes,
    read_string,
)
from async_cassandra._wire.codecs cimport Codec, CodecRegistry
from async_cassandra._wire.cqltypes cimport CqlType, read_type
from async_cassandra._wire.protocol cimport RowsFlag

from async_cassandra._wire.errors import ColumnDecodeError, ProtocolError
from async_cassandra._wire.row import row_type as make_row_type

cdef extern from "Python.h":
    ctypedef object (*allocfunc)(PyTypeObject* kind, Py_ssize_t count)
    ctypedef struct PyTypeObject:
        allocfunc tp_alloc
    void PyObject_GC_Track(void* instance)
    void PyObject_GC_UnTrack(void* instance)
    int PySlice_Unpack(
        object slice, Py_ssize_t* start, Py_ssize_t* stop, Py_ssize_t* step
    ) except -1
    Py_ssize_t PySlice_AdjustIndices(
        Py_ssize_t length, Py_ssize_t* start, Py_ssize_t* stop, Py_ssize_t step
    )


@cython.final
cdef class Column:
    """A column of a result, or a parameter of a prepared statement; hashable."""

    def __cinit__(self, str keyspace not None, str table not None, str name not None,
                  CqlType type not None):
        self.keyspace = keyspace
        self.table = table
        self.name = name
        self.type = type

    cdef tuple parts(self):
        return self.keyspace, self.table, self.name, self.type

    def __eq__(self, other):
        if not isinstance(other, Column):
            return NotImplemented
        return self.parts() == (<Column>other).parts()

    def __hash__(self):
        return hash(self.parts())

    def __reduce__(self):
        return Column, self.parts()

    def __repr__(self):
        return f"<Column {self.keyspace}.{self.table}.{self.name} {self.type}>"


@cython.final
@cython.freelist(256)
@cython.no_gc
cdef class ResultMetadata:
    """What a RESULT says about its columns.

    :ivar flags: the [int] as received
    :ivar columns: ``None`` if the server left them out
    :ivar paging_state: the token of the next page; ``None`` on the last one
    :ivar new_metadata_id: the id that replaces the statement's; ``None`` if nothing changed
    :ivar partition_key_indexes: parameters that make up the partition key, in its order; only for
        the parameters of a prepared statement
    """

    @property
    def has_more_pages(self):
        return bool(self.flags & RowsFlag.HAS_MORE_PAGES)

    cdef bint is_bare(self) noexcept:
        """Whether it says how many columns there are, and nothing follows that."""
        return (self.flags & (RowsFlag.NO_METADATA | RowsFlag.HAS_MORE_PAGES | RowsFlag.METADATA_CHANGED)
                == RowsFlag.NO_METADATA)

    def __repr__(self):
        return f"<ResultMetadata of {self.column_count} columns, flags {self.flags:#x}>"


cdef ResultMetadata read_metadata(Cursor* cursor, ResultMetadata usual=None):
    """Read the metadata of rows.

    Layout: [int] flags, [int] column count, [bytes] paging state and [short bytes] metadata id as
    flagged, then the columns.

    :param usual: a bare one, returned instead of another that says the same
    """
    cdef int flags = read_int(cursor)
    cdef Py_ssize_t column_count = read_int(cursor)
    if usual is not None and flags == usual.flags and column_count == usual.column_count:
        return usual
    cdef ResultMetadata metadata = ResultMetadata.__new__(ResultMetadata)
    metadata.flags = flags
    metadata.column_count = column_count
    if metadata.flags & RowsFlag.HAS_MORE_PAGES:
        metadata.paging_state = read_bytes(cursor)
    if metadata.flags & RowsFlag.METADATA_CHANGED:
        metadata.new_metadata_id = read_short_bytes(cursor)
    read_columns(cursor, metadata)
    return metadata


cdef ResultMetadata read_prepared_metadata(Cursor* cursor):
    """Read the metadata of a prepared statement's parameters.

    Layout: [int] flags, [int] column count, [int] count of partition key parameters and a [short]
    index for each, then the columns.
    """
    cdef ResultMetadata metadata = ResultMetadata.__new__(ResultMetadata)
    cdef Py_ssize_t key_count
    metadata.flags = read_int(cursor)
    metadata.column_count = read_int(cursor)
    key_count = read_int(cursor)
    if key_count < 0 or key_count > (cursor.end - cursor.at) // 2:
        raise_truncated(key_count, cursor.end - cursor.at)
    indexes = tuple([read_short(cursor) for _ in range(key_count)])
    metadata.partition_key_indexes = indexes
    for index in indexes:
        if index >= metadata.column_count:
            raise ProtocolError(f"partition key parameter {index} of {metadata.column_count}")
    read_columns(cursor, metadata)
    return metadata


cdef int read_columns(Cursor* cursor, ResultMetadata metadata) except -1:
    cdef Py_ssize_t count = metadata.column_count
    cdef bint one_table = metadata.flags & RowsFlag.GLOBAL_TABLES_SPEC
    cdef list columns = []
    if metadata.flags & RowsFlag.NO_METADATA:
        if count < 0:
            raise_truncated(count, 0)
        return 0
    if count < 0 or count > (cursor.end - cursor.at) // 4:
        raise_truncated(count, cursor.end - cursor.at)
    if one_table and count:
        keyspace = read_string(cursor)
        table = read_string(cursor)
    for _ in range(count):
        if not one_table:
            keyspace = read_string(cursor)
            table = read_string(cursor)
        name = read_string(cursor)
        columns.append(Column(keyspace, table, name, read_type(cursor)))
    metadata.columns = tuple(columns)
    return 0


def decode_metadata(bytes data not None, *, bint prepared=False):
    """Read metadata at the start of ``data``: itself, and the number of bytes it took."""
    cdef Cursor cursor
    cdef const unsigned char* start = <const unsigned char*>PyBytes_AS_STRING(data)
    cursor.at = start
    cursor.end = start + PyBytes_GET_SIZE(data)
    metadata = read_prepared_metadata(&cursor) if prepared else read_metadata(&cursor)
    return metadata, cursor.at - start


cdef inline bint is_repeated(const unsigned char* value, const unsigned char* earlier) noexcept:
    """Whether a value that is not null and the earlier one are the same bytes, lengths included.

    Looks at the last byte first, in which neighbours differ most often.
    """
    cdef Py_ssize_t size = <int32_t>get_int(value)
    if <int32_t>get_int(earlier) != size:
        return False
    return size == 0 or (value[3 + size] == earlier[3 + size] and memcmp(value + 4, earlier + 4, size) == 0)


cdef inline int take_size(const unsigned char** at, const unsigned char* end, Py_ssize_t* size) except -1:
    """Step over a value's length, which is negative for null, to the value, all of which is there."""
    cdef Py_ssize_t left = end - at[0] - 4
    if left < 0:
        raise_truncated(4, left + 4)
    size[0] = <int32_t>get_int(at[0])
    if size[0] > left:
        raise_truncated(size[0], left)
    at[0] += 4
    return 0


cdef tuple column_codecs(CodecRegistry registry, tuple columns):
    """How to decode each column now."""
    cdef Column column
    cdef list codecs = []
    for described in columns:
        column = <Column?>described
        codecs.append(registry.column_codec(column.keyspace, column.table, column.name, column.type))
    return tuple(codecs)


@cython.final
cdef class RowPlan:
    """How to decode the rows of a column list; built once and shared by their pages.

    :param columns: at least one
    :param row_type: ``"row"`` for Row, ``"tuple"`` for plain tuples
    :param codecs: of the columns, ``None`` for those that the registry has now
    :ivar readers: what the layers above make of such rows, by keys of their own
    """

    def __cinit__(self, columns, CodecRegistry registry not None, str row_type="row", tuple codecs=None):
        self.columns = tuple(columns)
        if not self.columns:
            raise ValueError("rows have at least one column")
        if row_type not in ("row", "tuple"):
            raise ValueError(f"row_type is 'row' or 'tuple', not {row_type!r}")
        self.row_type = make_row_type(self.column_names) if row_type == "row" else tuple
        self.codecs = column_codecs(registry, self.columns) if codecs is None else codecs
        self.column_count = len(self.columns)
        self.readers = {}
        self.atomic = True
        for codec in self.codecs:
            self.atomic = self.atomic and (<Codec>codec).atomic

    @property
    def column_names(self):
        return tuple([(<Column>column).name for column in self.columns])

    @property
    def column_types(self):
        return tuple([(<Column>column).type for column in self.columns])

    @property
    def value_types(self):
        """The types of the values: those of the columns, except where the client decrypts."""
        return tuple([(<Codec>codec).cql_type for codec in self.codecs])

    cdef object decode_row(
        self, bytes payload, Py_ssize_t* place, Py_ssize_t* column, PyObject* before, Py_ssize_t before_start
    ):
        """Decode the row at ``place``, which is then behind it; ``column`` tells where it failed.

        Rows of a partition have much in common: a value whose bytes are those in ``before``, the row at
        ``before_start`` (or NULL), is taken from there where its type allows.

        A row whose values cannot be part of a cycle is left out of garbage collection, as the
        interpreter itself does with such tuples.
        """
        cdef Py_ssize_t index
        cdef Py_ssize_t size
        cdef Codec codec
        cdef const unsigned char* base = <const unsigned char*>PyBytes_AS_STRING(payload)
        cdef const unsigned char* at = base + place[0]
        cdef const unsigned char* end = base + PyBytes_GET_SIZE(payload)
        cdef const unsigned char* earlier = base + before_start
        cdef PyTypeObject* kind = <PyTypeObject*>self.row_type
        cdef object row
        if self.row_type is tuple:
            row = PyTuple_New(self.column_count)
        else:
            row = kind.tp_alloc(kind, self.column_count)
        # Nobody shall find it through gc while it has places without a value.
        PyObject_GC_UnTrack(<void*>row)
        for index in range(self.column_count):
            column[0] = index
            take_size(&at, end, &size)
            codec = <Codec>PyTuple_GET_ITEM(self.codecs, index)
            if size < 0:
                value = None
            elif before != NULL and codec.shared and is_repeated(at - 4, earlier):
                value = <object>PyTuple_GET_ITEM(<tuple>before, index)
            else:
                value = codec.view(payload, at - base, size) if codec.views else codec.read(at, size)
            at += max(size, 0)
            if before != NULL:
                earlier += 4 + max(<int32_t>get_int(earlier), 0)
            Py_INCREF(value)
            PyTuple_SET_ITEM(row, index, value)
        if not self.atomic:
            PyObject_GC_Track(<void*>row)
        place[0] = at - base
        return row

    def __repr__(self):
        return f"<RowPlan {', '.join(self.column_names)}>"


@cython.final
@cython.freelist(256)
@cython.no_gc
cdef class Page:
    """The rows of one RESULT: a sequence that decodes a row each time it is asked for.

    Every length is checked before it is used: all of them at once, else those of a row when it or one behind it is
    first asked for.

    :param payload: the body, which the page keeps
    :param offset: where the row count starts, right after the metadata
    :param at_once: whether to check all lengths now
    :raises ProtocolError: if the lengths do not add up to the payload
    """

    def __init__(self, bytes payload not None, Py_ssize_t offset, RowPlan plan not None, bint at_once=True):
        self.fill(payload, offset, plan, at_once)

    cdef int fill(self, bytes payload, Py_ssize_t offset, RowPlan plan, bint at_once) except -1:
        cdef Cursor cursor
        cdef Py_ssize_t count
        cdef const unsigned char* start = <const unsigned char*>PyBytes_AS_STRING(payload)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
        if self.payload is not None:
            raise RuntimeError("a page is filled once")
        if offset < 0 or offset > size or size > 0x7FFFFFFF:
            raise ValueError(f"offset {offset} in a payload of {size} bytes")
        cursor.at = start + offset
        cursor.end = start + size
        count = read_int(&cursor)
        if count < 0 or count > (cursor.end - cursor.at) // (4 * plan.column_count):
            raise ProtocolError(f"{count} rows announced, {cursor.end - cursor.at} bytes left")
        self.payload = payload
        self.plan = plan
        self.start = cursor.at - start
        self.known = 1
        if count > 1:
            self.offsets = <uint32_t*>PyMem_Malloc(count * sizeof(uint32_t))
            if self.offsets == NULL:
                raise MemoryError(f"no memory for the offsets of {count} rows")
            self.offsets[0] = <uint32_t>self.start
        self.row_count = count
        if count == 0:
            return self.note(0, self.start)
        return self.check(count) if at_once else 0

    def __dealloc__(self):
        PyMem_Free(self.offsets)

    cdef int check(self, Py_ssize_t stop) except -1:
        """Check the lengths of the rows before ``stop`` whose successors' places are not known."""
        cdef Py_ssize_t row, size
        cdef const unsigned char* base = <const unsigned char*>PyBytes_AS_STRING(self.payload)
        cdef const unsigned char* end = base + PyBytes_GET_SIZE(self.payload)
        cdef const unsigned char* at = base + self.row_start(self.known - 1)
        for row in range(self.known, stop + 1):
            for _ in range(self.plan.column_count):
                take_size(&at, end, &size)
                if size > 0:
                    at += size
            self.note(row, at - base)
        return 0

    cdef inline int note(self, Py_ssize_t row, Py_ssize_t place) except -1:
        """Take note that the rows before ``row`` end at ``place``, where the last one's end is the payload's."""
        if row == self.row_count:
            if place != PyBytes_GET_SIZE(self.payload):
                raise ProtocolError(f"{PyBytes_GET_SIZE(self.payload) - place} bytes after the last row")
        elif row == self.known:
            self.offsets[row] = <uint32_t>place
            self.known += 1
        return 0

    cdef Py_ssize_t row_start(self, Py_ssize_t row) noexcept:
        """Where a row begins whose place is known."""
        return self.offsets[row] if self.offsets != NULL else self.start

    cdef Py_ssize_t find_row(self, Py_ssize_t row) except -1:
        """Where ``row`` begins, which is inside the page."""
        if row >= self.known:
            self.check(row)
        return self.row_start(row)

    cdef object row_at(self, Py_ssize_t row):
        """Decode row ``row``, which is inside the page."""
        cdef Py_ssize_t column = 0
        cdef Py_ssize_t place = self.find_row(row)
        try:
            decoded = self.plan.decode_row(self.payload, &place, &column, NULL, 0)
            self.note(row + 1, place)
            return decoded
        except MemoryError:
            raise
        except Exception as error:
            raise self.decode_error(row, column, error) from error

    cdef int append_rows(self, list rows, Py_ssize_t start, Py_ssize_t stop) except -1:
        """Decode rows ``start`` to ``stop``, which are inside the page, up to one that raises."""
        if start >= stop:
            return 0
        cdef Py_ssize_t column = 0
        cdef Py_ssize_t place = self.find_row(start)
        cdef Py_ssize_t before_start = 0
        cdef PyObject* before = NULL
        cdef Py_ssize_t row, row_start
        try:
            for row in range(start, stop):
                row_start = place
                decoded = self.plan.decode_row(self.payload, &place, &column, before, before_start)
                self.note(row + 1, place)
                rows.append(decoded)
                before = <PyObject*>decoded
                before_start = row_start
        except MemoryError:
            raise
        except Exception as error:
            raise self.decode_error(row, column, error) from error
        return 0

    cdef object decode_error(self, Py_ssize_t row, Py_ssize_t column, error):
        """The error that names the row's column which could not be read."""
        described = <Column>self.plan.columns[column]
        codec = <Codec>self.plan.codecs[column]
        message = f"column {described.name!r} ({codec.type_name()}) of row {row}: {error}"
        if isinstance(error, ProtocolError):
            return ProtocolError(message)
        cdef const unsigned char* at = <const unsigned char*>PyBytes_AS_STRING(self.payload) + self.row_start(row)
        cdef Py_ssize_t size = <int32_t>get_int(at)
        for _ in range(column):
            at += 4 + max(size, 0)
            size = <int32_t>get_int(at)
        value = b"" if codec.secret else PyBytes_FromStringAndSize(<const char*>at + 4, max(size, 0))
        return ColumnDecodeError(message, described.name, row, value)

    cpdef list decode_slice(self, Py_ssize_t start, Py_ssize_t stop):
        """Rows ``start`` to ``stop``, both clipped to the page.

        :raises ColumnDecodeError: at the first row with a value that Python cannot hold
        """
        cdef list rows = []
        self.append_rows(rows, max(start, 0), min(stop, self.row_count))
        return rows

    def __len__(self):
        return self.row_count

    def __getitem__(self, key):
        cdef Py_ssize_t start, stop, step, row
        if isinstance(key, slice):
            PySlice_Unpack(key, &start, &stop, &step)
            PySlice_AdjustIndices(self.row_count, &start, &stop, step)
            return [self.row_at(row) for row in range(start, stop, step)]
        row = key
        if row < 0:
            row += self.row_count
        if row < 0 or row >= self.row_count:
            raise IndexError(f"no row {key}: the page has {self.row_count} rows")
        return self.row_at(row)

    def __iter__(self):
        return PageCursor(self)

    def __repr__(self):
        return f"<Page of {self.row_count} rows, {len(self.payload)} bytes>"


@cython.final
cdef class PageCursor:
    """Iterates over a page; after a row that raises, it goes on with the one behind it.

    :ivar position: the row that comes next
    """

    def __cinit__(self, Page page not None, Py_ssize_t position=0):
        self.page = page
        self.position = max(position, 0)

    def __iter__(self):
        return self

    def __next__(self):
        if self.position >= self.page.row_count:
            raise StopIteration
        self.position += 1
        return self.page.row_at(self.position - 1)

    def __length_hint__(self):
        return max(self.page.row_count - self.position, 0)

    cpdef list decode_next(self, Py_ssize_t limit):
        """Up to ``limit`` rows; fewer before a row that raises, which the next call begins with.

        :raises ColumnDecodeError: if the next row raises; it is stepped over
        """
        cdef list rows = []
        cdef Py_ssize_t stop = self.page.row_count
        if limit < stop - self.position:
            stop = self.position + limit
        try:
            self.page.append_rows(rows, self.position, stop)
        except (ColumnDecodeError, ProtocolError):
            if not rows:
                self.position += 1
                raise
        self.position += len(rows)
        return rows
