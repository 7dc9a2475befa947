# cython: auto_pickle=False
"""Rows: tuples whose fields are found by position, by attribute and by column name."""

import keyword
import re
from functools import lru_cache

from _collections import _tuplegetter

from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_Check

cdef extern from "Python.h":
    ctypedef int (*visitproc)(PyObject* object, void* argument)
    ctypedef struct PyMappingMethods:
        object (*mp_subscript)(object instance, object key)
    ctypedef struct PyTypeObject:
        PyMappingMethods* tp_as_mapping
        int (*tp_traverse)(PyObject* instance, visitproc visit, void* argument) noexcept
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
    int Py_mp_subscript
    int Py_tp_traverse
    unsigned int Py_TPFLAGS_DEFAULT
    unsigned int Py_TPFLAGS_BASETYPE
    unsigned int Py_TPFLAGS_HAVE_GC


cdef object row_subscript(object row, object key):
    """``row[0]``, ``row[1:]``, ``row["name"]``: in C, because a ``__getitem__`` is a slow call."""
    cdef object kind
    if not PyUnicode_Check(key):
        try:
            return PyTuple_Type.tp_as_mapping.mp_subscript(row, key)
        except IndexError:
            raise IndexError(f"no column {key}: the row has {len(row)} columns") from None
    kind = <object>Py_TYPE(row)
    position = kind._positions.get(key)
    if position is None:
        raise KeyError(f"no column {key!r}, there are: {', '.join(kind._column_names)}")
    return (<tuple>row)[<Py_ssize_t>position]


cdef int row_traverse(PyObject* row, visitproc visit, void* argument) noexcept:
    """Visit the items, and the type, which instances of a heap type own."""
    cdef int result = visit(<PyObject*>Py_TYPE(<object>row), argument)
    return result if result else PyTuple_Type.tp_traverse(row, visit, argument)


cdef PyType_Slot ROW_SLOTS[3]
ROW_SLOTS[0] = PyType_Slot(Py_mp_subscript, <void*>row_subscript)
ROW_SLOTS[1] = PyType_Slot(Py_tp_traverse, <void*>row_traverse)
ROW_SLOTS[2] = PyType_Slot(0, NULL)

cdef PyType_Spec ROW_SPEC
ROW_SPEC.name = b"async_cassandra._wire.row._RowBase"
ROW_SPEC.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC
ROW_SPEC.slots = ROW_SLOTS

_RowBase = PyType_FromSpecWithBases(&ROW_SPEC, (tuple,))

NOT_ALPHANUMERIC = re.compile("[^a-zA-Z0-9]")
BAD_START = re.compile("^[^a-zA-Z0-9]*")
BAD_END = re.compile("[^a-zA-Z0-9_]*$")


def field_names(tuple column_names not None):
    """Attribute names for columns, the same as the driver's named tuples have.

    ``count(*)`` becomes ``count``, ``"a b"`` becomes ``a_b``; if any name then is no identifier, a
    keyword or not unique, such names become ``field_<position>_`` or get ``_`` appended.
    """
    names = [
        NOT_ALPHANUMERIC.sub("_", BAD_START.sub("", BAD_END.sub("", name)))
        for name in column_names
    ]
    seen = set()
    for position, name in enumerate(names):
        if not name or not name.isascii() or name[0].isdigit() or keyword.iskeyword(name):
            name = f"field_{position}_"
        while name in seen:
            name += "_"
        seen.add(name)
        names[position] = name
    return tuple(names)


class Row(_RowBase):
    """One row: a tuple with the columns' values, which are attributes too.

    Attributes are named as the driver's named tuples name them (``_fields``); ``row["name"]``
    takes the column's own name. Compares, hashes and unpacks as a tuple; copies and pickles.
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
        result = tuple.__new__(cls, iterable)
        if len(result) != len(cls._fields):
            raise TypeError(f"{len(cls._fields)} values are needed, got {len(result)}")
        return result

    def _asdict(self):
        """Field name -> value, in the order of the columns."""
        return dict(zip(self._fields, self))

    def _replace(self, **named):
        """A copy with other values for some fields."""
        result = self._make([named.pop(name, value) for name, value in zip(self._fields, self)])
        if named:
            raise ValueError(f"no fields {sorted(named)}")
        return result

    def __repr__(self):
        pairs = [f"{name}={value!r}" for name, value in zip(self._fields, self)]
        return f"Row({', '.join(pairs)})"

    def __reduce__(self):
        return rebuild_row, (self._column_names, tuple(self))


@lru_cache(maxsize=1024)
def row_type(tuple column_names not None):
    """The Row subclass for columns of these names; the same while it is among the recent ones."""
    fields = field_names(column_names)
    positions = {name: position for position, name in reversed(list(enumerate(fields)))}
    for position, name in reversed(list(enumerate(column_names))):
        positions[name] = position
    namespace = {
        "__slots__": (), "__module__": Row.__module__, "__match_args__": fields,
        "_fields": fields, "_column_names": column_names, "_positions": positions,
    }
    for position, name in enumerate(fields):
        namespace[name] = _tuplegetter(position, f"Column {column_names[position]!r}")
    return type("Row", (Row,), namespace)


def rebuild_row(tuple column_names not None, tuple values not None):
    """Unpickle a row."""
    return row_type(column_names)._make(values)
