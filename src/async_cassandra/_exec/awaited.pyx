"""How a task waits for a request: through its future, without a coroutine or an exception for each."""

from asyncio import InvalidStateError


cdef class Awaited(Routed):
    """Something with a future that a task may ``await`` directly."""

    def __await__(self):
        """Wait until the future is done; raises what it got. Cancellation: the request is to be cancelled as well."""
        return self

    def __next__(self):
        """Hand the future to the task that awaits, as the future's own iterator does.

        An iterator that ends without an exception ends an ``await``; to carry a value it would have to raise one.
        """
        if not self.is_answered:
            if not self.has_failed:
                self.future._asyncio_future_blocking = True
                return self.future
            self.future.result()
        raise StopIteration

    cdef int answer(self, object result) except -1:
        """Give the future its result, unless it was cancelled."""
        try:
            self.future.set_result(result)
        except InvalidStateError:
            return 0
        self.is_answered = True
        return 0

    cdef int refuse(self, object exception) except -1:
        """Give the future its exception, unless it was cancelled."""
        self.has_failed = True
        if not self.future.done():
            self.future.set_exception(exception)
        return 0
