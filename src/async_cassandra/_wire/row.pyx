"""Rows: tuples whose fields can be read by position, by attribute and by column name."""

import keyword
import re
from functools import lru_cache

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_Check

cdef extern from "Python.h":
    ctypedef int (*visitproc)(PyObject* object, void* argument)
    ctypedef struct PyMappingMethods:
        object (*mp_subscript)(object instance, object key)
    ctypedef struct PyTypeObject:
        unsigned long tp_flags
        PyMappingMethods* tp_as_mapping
        int (*tp_traverse)(PyObject* instance, visitproc visit, void* argument) noexcept
        object (*tp_new)(PyTypeObject* kind, PyObject* arguments, PyObject* named)
    ctypedef struct PyMemberDef:
        const char* name
        int type
        Py_ssize_t offset
        int flags
        const char* doc
    ctypedef struct PyType_Slot:
        int slot
        void* pfunc
    ctypedef struct PyType_Spec:
        const char* name
        int basicsize
        int itemsize
        unsigned int flags
        PyType_Slot* slots
    object PyType_FromSpecWithBases(PyType_Spec* spec, object bases)
    PyTypeObject PyTuple_Type
    PyTypeObject* Py_TYPE(object instance)
    object PyDescr_NewMember(PyTypeObject* kind, PyMemberDef* member)
    const char* PyUnicode_AsUTF8(object value) except NULL
    int Py_T_OBJECT_EX
    int Py_READONLY
    int Py_mp_subscript
    int Py_tp_new
    int Py_tp_traverse
    unsigned int Py_TPFLAGS_DEFAULT
    unsigned long Py_TPFLAGS_BASETYPE
    unsigned long Py_TPFLAGS_IMMUTABLETYPE
    void PyType_Modified(PyTypeObject* kind)
    unsigned int Py_TPFLAGS_HAVE_GC


cdef extern from *:
    """
    #define ROW_ITEM_OFFSET(index) (offsetof(PyTupleObject, ob_item) + (index) * sizeof(PyObject*))
    """
    Py_ssize_t ROW_ITEM_OFFSET(Py_ssize_t index)


cdef object row_new(PyTypeObject* kind, PyObject* arguments, PyObject* named):
    """A tuple with as many items as the type has fields, which the fields' descriptors rely on."""
    row = PyTuple_Type.tp_new(kind, arguments, named)
    cdef Py_ssize_t count = len((<object>kind)._fields)
    if PyTuple_GET_SIZE(row) != count:
        raise TypeError(f"{count} values are needed, got {PyTuple_GET_SIZE(row)}")
    return row


cdef object row_subscript(object row, object key):
    """``row[0]``, ``row[1:]``, ``row["name"]``: in C, because a ``__getitem__`` is a slow call."""
    cdef object kind
    cdef Py_ssize_t index
    if not PyUnicode_Check(key):
        try:
            return PyTuple_Type.tp_as_mapping.mp_subscript(row, key)
        except IndexError:
            raise IndexError(f"no column {key}: the row has {len(row)} columns") from None
    kind = <object>Py_TYPE(row)
    position = kind._positions.get(key)
    if position is None:
        raise KeyError(f"no column {key!r}, there are: {', '.join(kind._column_names)}")
    index = position
    if not 0 <= index < PyTuple_GET_SIZE(row):
        raise IndexError(f"column {key!r} is said to be at {index}: the row has {len(row)} columns")
    return (<tuple>row)[index]


cdef int row_traverse(PyObject* row, visitproc visit, void* argument) noexcept:
    """Visit the items, and the type, which instances of a heap type own."""
    cdef int result = visit(<PyObject*>Py_TYPE(<object>row), argument)
    return result if result else PyTuple_Type.tp_traverse(row, visit, argument)


cdef PyType_Slot ROW_SLOTS[4]
ROW_SLOTS[0] = PyType_Slot(Py_mp_subscript, <void*>row_subscript)
ROW_SLOTS[1] = PyType_Slot(Py_tp_traverse, <void*>row_traverse)
ROW_SLOTS[2] = PyType_Slot(Py_tp_new, <void*>row_new)
ROW_SLOTS[3] = PyType_Slot(0, NULL)

cdef PyType_Spec ROW_SPEC
ROW_SPEC.name = b"async_cassandra._wire.row._RowBase"
ROW_SPEC.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC
ROW_SPEC.slots = ROW_SLOTS

_RowBase = PyType_FromSpecWithBases(&ROW_SPEC, (tuple,))

NOT_ALPHANUMERIC = re.compile("[^a-zA-Z0-9]")
BAD_START = re.compile("^[^a-zA-Z0-9]*")
BAD_END = re.compile("[^a-zA-Z0-9_]*$")


# Of so many columns with the same name, each more would take longer than the one before.
cdef int MAX_UNDERSCORES = 16


def field_names(tuple column_names not None):
    """Return attribute names for columns, the same as in the driver's named tuples.

    ``count(*)`` becomes ``count``, ``"a b"`` becomes ``a_b``; a name that is then not an identifier, or a
    keyword, or not unique, becomes ``field_<position>_`` or gets ``_`` appended. If more
    than 16 columns share a name, the rest of them become ``field_<position>_`` too.
    """
    names = [
        NOT_ALPHANUMERIC.sub("_", BAD_START.sub("", BAD_END.sub("", name)))
        for name in column_names
    ]
    seen = set()
    for position, name in enumerate(names):
        if not name or not name.isascii() or name[0].isdigit() or keyword.iskeyword(name):
            name = f"field_{position}_"
        for _ in range(MAX_UNDERSCORES):
            if name not in seen:
                break
            name += "_"
        else:
            name = f"field_{position}_"
        while name in seen:
            name += "_"
        seen.add(name)
        names[position] = name
    return tuple(names)


class Row(_RowBase):
    """One row: a tuple with the columns' values, which are attributes too.

    Attributes have the names that the driver's named tuples give them (``_fields``); ``row["name"]``
    uses the column's own name. It compares, hashes and unpacks like a tuple, and can be copied and pickled.
    """

    __slots__ = ()
    _fields = ()
    _field_defaults = {}
    _column_names = ()
    _positions = {}

    def __new__(cls, *values, **named):
        for name in cls._fields[len(values):]:
            if name not in named:
                raise TypeError(f"no value for {name!r}")
            values += (named.pop(name),)
        if named:
            raise TypeError(f"no column {next(iter(named))!r}, or it is given twice")
        return cls._make(values)

    @classmethod
    def _make(cls, iterable):
        """Build a row from the values in the order of the columns."""
        return _RowBase.__new__(cls, iterable)

    def _asdict(self):
        """Return field name -> value, in the order of the columns."""
        return dict(zip(self._fields, self))

    def _replace(self, **named):
        """Return a copy with other values for some fields."""
        result = self._make([named.pop(name, value) for name, value in zip(self._fields, self)])
        if named:
            raise ValueError(f"no fields {sorted(named)}")
        return result

    def __repr__(self):
        pairs = [f"{name}={value!r}" for name, value in zip(self._fields, self)]
        return f"Row({', '.join(pairs)})"

    def __reduce__(self):
        return rebuild_row, (self._column_names, tuple(self))


cdef class Fields:
    """The fields of a Row subclass as descriptors of slots, which the interpreter reads without a call.

    Each item of a tuple lies at a fixed place, as a slot does. So each instance of the class must have all items:
    none is made with fewer, see ``row_new``, and no other class's instances become its own, see ``seal``.
    """

    cdef PyMemberDef* members
    cdef list texts

    def __cinit__(self, tuple names not None, tuple column_names not None):
        cdef Py_ssize_t index
        self.texts = []
        self.members = <PyMemberDef*>PyMem_Calloc(len(names) + 1, sizeof(PyMemberDef))
        if self.members == NULL:
            raise MemoryError
        for index in range(len(names)):
            self.members[index].name = self.text(names[index])
            self.members[index].doc = self.text(f"Column {column_names[index]!r}")
            self.members[index].type = Py_T_OBJECT_EX
            self.members[index].flags = Py_READONLY
            self.members[index].offset = ROW_ITEM_OFFSET(index)

    def __dealloc__(self):
        PyMem_Free(self.members)

    cdef const char* text(self, str value) except NULL:
        self.texts.append(value)
        return PyUnicode_AsUTF8(value)

    cdef object descriptor(self, kind, Py_ssize_t index):
        return PyDescr_NewMember(<PyTypeObject*>kind, &self.members[index])


@lru_cache(maxsize=1024)
def row_type(tuple column_names not None):
    """Return the Row subclass for columns with these names; the same one while it is among the recent ones."""
    fields = field_names(column_names)
    positions = {name: position for position, name in reversed(list(enumerate(fields)))}
    for position, name in reversed(list(enumerate(column_names))):
        positions[name] = position
    cdef Fields slots = Fields(fields, column_names)
    kind = type("Row", (Row,), {
        "__slots__": (), "__module__": Row.__module__, "__match_args__": fields, "_slots": slots,
        "_fields": fields, "_column_names": column_names, "_positions": positions,
    })
    for position, name in enumerate(fields):
        setattr(kind, name, slots.descriptor(kind, position))
    seal(kind)
    return kind


cdef int seal(kind) except -1:
    """Let nobody change a class, derive from it or assign it to an instance of another one."""
    cdef PyTypeObject* sealed = <PyTypeObject*>kind
    sealed.tp_flags = (sealed.tp_flags | Py_TPFLAGS_IMMUTABLETYPE) & ~Py_TPFLAGS_BASETYPE
    PyType_Modified(sealed)
    return 0


def rebuild_row(tuple column_names not None, tuple values not None):
    """Unpickle a row."""
    return row_type(column_names)._make(values)
