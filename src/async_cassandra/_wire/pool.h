/* The memory of a type's last instances, kept for the next ones.

   What each request needs anew comes and goes in the order of a stack, so that a few blocks serve any rate; the
   allocator and, for types it knows, the garbage collector are asked for none of it. POOL(name) defines a pool, and
   name_use(type) gives it to a type; subclasses do not share it. Concurrency: whoever holds the GIL. */

#ifndef ASYNC_CASSANDRA_POOL_H
#define ASYNC_CASSANDRA_POOL_H

#include <Python.h>
#include <string.h>

/* A turn of the loop ends 128 requests at most, and as many begin in it. */
#define POOL_BLOCKS 256

/* The sanitizers shall see each instance come and go. */
#if defined(__SANITIZE_ADDRESS__) || defined(Py_GIL_DISABLED)
#define POOL_LIMIT 0
#else
#define POOL_LIMIT POOL_BLOCKS
#endif

#define POOL(name)                                                                                                  \
    static struct {                                                                                                 \
        PyTypeObject *type;                                                                                         \
        freefunc free;                                                                                              \
        int count;                                                                                                  \
        PyObject *blocks[POOL_BLOCKS];                                                                              \
    } name;                                                                                                         \
                                                                                                                    \
    static PyObject *name##_alloc(PyTypeObject *type, Py_ssize_t items)                                             \
    {                                                                                                               \
        PyObject *block;                                                                                            \
        if (type != name.type || name.count == 0)                                                                   \
            return PyType_GenericAlloc(type, items);                                                                \
        block = name.blocks[--name.count];                                                                          \
        memset(block, 0, (size_t)type->tp_basicsize);                                                               \
        PyObject_Init(block, type);                                                                                 \
        if (PyType_IS_GC(type))                                                                                     \
            PyObject_GC_Track(block);                                                                               \
        return block;                                                                                               \
    }                                                                                                               \
                                                                                                                    \
    static void name##_free(void *block)                                                                            \
    {                                                                                                               \
        if (Py_TYPE((PyObject *)block) == name.type && name.count < POOL_LIMIT)                                     \
            name.blocks[name.count++] = (PyObject *)block;                                                          \
        else                                                                                                        \
            name.free(block);                                                                                       \
    }                                                                                                               \
                                                                                                                    \
    static void name##_use(PyTypeObject *type)                                                                      \
    {                                                                                                               \
        name.type = type;                                                                                           \
        name.free = type->tp_free;                                                                                  \
        type->tp_alloc = name##_alloc;                                                                              \
        type->tp_free = name##_free;                                                                                \
    }

#endif
