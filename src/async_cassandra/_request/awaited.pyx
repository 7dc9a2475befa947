"""How a task waits for a request: the request is its own future, and those that end together wake together.

Theory. A task treats whatever its ``await`` yields as a future, if that has asyncio's mark of one and its methods.
It leaves its wake-up there with ``add_done_callback``. A future of asyncio's own class has the loop call each wake-up
through a handle of its own, which asyncio's loop makes in Python; here the end of a
:mod:`turn <async_cassandra._net.turn>` wakes all that ended in it, in the order in which they ended, each in the
context of its task. Those that end otherwise, by a timer or by a task, wake in the next turn of the loop. In debug
mode each has its own handle again, which lets the loop name the task whose step took too long.
"""

from asyncio import InvalidStateError, Task
from contextvars import copy_context

cimport cython


cdef extern from "Python.h":
    object PyObject_GenericGetAttr(object owner, object name)
    int PyObject_GenericSetAttr(object owner, object name, object value) except -1
    bint PyCFunction_CheckExact(object function)
    void* PyCFunction_GET_SELF(object function)
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1


cdef object TASK = Task
cdef object BLOCKING = "_asyncio_future_blocking"
cdef object GET_LOOP = "get_loop"


cdef class Wakeups(Turn):
    """Runs what waits for the requests of one executor, after they ended and never while a task runs."""

    def __cinit__(self, loop):
        self.is_one_by_one = loop.get_debug()
        self.ended = []
        self.callback = self._wake
        self.get_loop = self._get_loop
        self.answered = loop.create_future()
        self.answered.set_result(None)

    @cython.binding(False)
    def _get_loop(self):
        return self.loop

    cdef int add(self, Awaited ended) except -1:
        """Wake who waits for ``ended``."""
        if self.is_one_by_one:
            ended.call_soon(ended.callback, ended.context)
            ended.callback = ended.context = None
            return 0
        self.ended.append(ended)
        return 0 if self.is_on else self.schedule()

    cdef int schedule(self) except -1:
        if not self.is_scheduled:
            self.is_scheduled = True
            self.loop.call_soon(self.callback)
        return 0

    def _wake(self):
        self.is_scheduled = False
        if self.begin():
            self.end()

    cdef int wake(self) except -1:
        cdef list ended = self.ended
        cdef Py_ssize_t index = 0
        cdef Py_ssize_t count = len(ended)
        cdef Awaited request
        if count == 0:
            return 0
        self.ended = []
        try:
            while index < count:
                request = <Awaited>ended[index]
                ended[index] = None
                index += 1
                request.wake()
        finally:
            # A task may have ended the loop's run, by KeyboardInterrupt or SystemExit; the others belong to the next.
            if index < count:
                self.ended[:0] = ended[index:]
            if self.ended:
                self.schedule()
        return 0


cdef class Awaited(Waiting):
    """Something that a task may ``await`` directly, with the methods of a future.

    Awaiting it returns no value: its iterator would have to raise an exception to carry one.
    """

    def __await__(self):
        """Wait for the end, and raise its error if it has one. Cancelling the task cancels the request."""
        return self

    def __next__(self):
        if self.outcome == PENDING:
            self._asyncio_future_blocking = True
            return self
        if self.outcome != ANSWERED:
            raise self.error
        raise StopIteration

    @cython.nonecheck(True)
    def get_loop(self):
        """The loop of those who may await it."""
        return self.wakeups.loop

    def __getattribute__(self, name):
        # What a task asks for at each await comes first: the search through the bases' names is a good part of it.
        if name is BLOCKING:
            return self._asyncio_future_blocking
        if name is GET_LOOP and self.wakeups is not None:
            return self.wakeups.get_loop
        return PyObject_GenericGetAttr(self, name)

    def __setattr__(self, name, value):
        if name is BLOCKING:
            self._asyncio_future_blocking = value
        else:
            PyObject_GenericSetAttr(self, name, value)

    def done(self):
        """Whether it has ended in any way."""
        return self.outcome != PENDING

    def cancelled(self):
        """Whether it was cancelled before it ended otherwise."""
        return self.outcome == CANCELLED

    def result(self):
        """Return ``None`` once it was answered, and raise its error otherwise.

        :raises asyncio.InvalidStateError: before the end
        """
        if self.outcome == PENDING:
            raise InvalidStateError("the request has not ended")
        if self.outcome != ANSWERED:
            raise self.error

    def exception(self):
        """Return the error that it failed with, ``None`` if it was answered.

        :raises asyncio.InvalidStateError: before the end
        :raises asyncio.CancelledError: if it was cancelled
        """
        if self.outcome != FAILED:
            self.result()
        return self.error

    # Each task makes a bound method of it: C's own is cheaper than Cython's.
    @cython.binding(False)
    def add_done_callback(self, callback, *, context=None):
        """Have the loop call ``callback(self)`` in a turn after the end, in ``context``."""
        if context is None:
            context = copy_context()
        if self.outcome != PENDING:
            self.call_soon(callback, context)
        elif self.callback is None:
            self.callback = callback
            self.context = context
        else:
            if self.further is None:
                self.further = []
            self.further.append((callback, context))

    def remove_done_callback(self, callback):
        """Do not call ``callback`` at the end; return how often it was registered. After the end it is too late."""
        if self.outcome != PENDING:
            return 0
        cdef list waiting = [(self.callback, self.context)] if self.callback is not None else []
        if self.further is not None:
            waiting += self.further
        cdef list kept = [pair for pair in waiting if pair[0] != callback]
        self.callback, self.context = kept[0] if kept else (None, None)
        self.further = kept[1:] if len(kept) > 1 else None
        return len(waiting) - len(kept)

    cdef bint settle(self, int outcome, object error) except -1:
        """End it and wake whoever waits; return whether it had not ended."""
        if self.outcome != PENDING:
            return False
        self.outcome = outcome
        self.error = error
        if self.callback is not None:
            self.wakeups.add(self)
        if self.further is not None:
            for callback, context in self.further:
                self.call_soon(callback, context)
            self.further = None
        return True

    cdef int call_soon(self, object callback, object context) except -1:
        """Have the loop call ``callback`` by a handle of its own."""
        self.wakeups.loop.call_soon(callback, self.ended_for(callback), context=context)
        return 0

    cdef object ended_for(self, object callback):
        """What to give to ``callback``.

        A task only asks what it is woken with for a result. From a future of asyncio's own class it takes that
        without a call, and an error without a frame in its traceback.
        """
        if not PyCFunction_CheckExact(callback) or PyCFunction_GET_SELF(callback) == NULL:
            return self
        if type(<object>PyCFunction_GET_SELF(callback)) is not TASK:
            return self
        if self.outcome == ANSWERED:
            return self.wakeups.answered
        future = self.wakeups.loop.create_future()
        if self.outcome == FAILED:
            future.set_exception(self.error)
        else:
            future.cancel(*self.error.args)
        return future

    cdef int wake(self) except -1:
        """Run the callback in its context."""
        cdef object callback = self.callback
        cdef object context = self.context
        self.callback = self.context = None
        PyContext_Enter(context)
        try:
            callback(self.ended_for(callback))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001  as the loop does with any callback
            self.wakeups.loop.call_exception_handler(
                {"message": f"exception in {callback!r}", "exception": error, "future": self})
        finally:
            PyContext_Exit(context)
        return 0
