/* Included first in every compiled module: its paths for errors are laid out apart from the others.

   Each path of Cython's for an error ends in a call of these. As the compiler is told that they are seldom called, it
   moves the whole paths out of the functions, and what a request runs through takes less of the instruction cache. */

#ifndef ASYNC_CASSANDRA_COLD_H
#define ASYNC_CASSANDRA_COLD_H

struct _object;

static void __Pyx_AddTraceback(const char *function, int c_line, int line, const char *file) __attribute__((cold));
static void __Pyx_Raise(struct _object *type, struct _object *value, struct _object *traceback, struct _object *cause)
    __attribute__((cold));

#endif
