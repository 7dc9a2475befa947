"""Tells the observers of a session what happens to requests and connections.

Everything that counts, traces or logs requests goes through here. A request has one test for ``None`` at each event
while nobody observes.
"""

import logging

from cpython.object cimport PyTypeObject

log = logging.getLogger("async_cassandra.observers")


cdef class Observer:
    """Told of each event on the loop's thread, within the request concerned: it must be quick and must not wait.

    A request here is one call of ``execute`` with all its pages, or one page of a stream. Derive from it and define
    the events that matter. An exception is logged once for each observer and fails no request.
    """

    cpdef on_started(self, request):
        """Called when a request is admitted, in the context of the task that awaits it."""

    cpdef on_queued(self, request):
        """Called when no connection could take it, so that it waits for a place."""

    cpdef on_sent(self, request, str endpoint, bint is_speculative):
        """Called when an attempt is sent to ``endpoint``; speculative if another one is still awaited."""

    cpdef on_attempt_failed(self, request, str endpoint, error):
        """Called when an attempt ended without a result: with a server's error, or because its connection was lost."""

    cpdef on_retried(self, request, error, double delay):
        """Called when it is to be sent again because of ``error``, after ``delay`` seconds."""

    cpdef on_page(self, request, before):
        """Called when a page arrived that is not the last; the call's next event has another request.

        :param before: the page's request
        :param request: the one for the page after it
        """

    cpdef on_finished(self, request, error, double seconds):
        """Called with its ``error``, if any, ``seconds`` after it was admitted; ``CancelledError`` if cancelled."""

    cpdef on_connection_opened(self, str endpoint):
        """Called when a connection is ready for requests."""

    cpdef on_connection_lost(self, str endpoint, error):
        """Called when a connection ended that this side did not close."""

    cpdef on_node_up(self, str endpoint):
        """Called when the cluster considers a node up."""

    cpdef on_node_down(self, str endpoint):
        """Called when the cluster considers a node down."""


cdef class Observers(Observer):
    """Tells several observers, in order; one that fails is reported once, and the others are still told.

    Events that every request has are direct calls, the rest go by name.

    :ivar enabled: whether they are told at the moment
    """

    def __cinit__(self, members):
        self.members = tuple(members)
        for member in self.members:
            if not isinstance(member, Observer):
                raise TypeError(f"an Observer is required, not {type(member).__name__}")
        self.reported = set()
        self.enabled = True

    cdef int report(self, Observer member) except -1:
        if id(member) not in self.reported:
            self.reported.add(id(member))
            log.warning("%r failed; reported once", member, exc_info=True)
        return 0

    cdef int tell(self, str event, tuple arguments) except -1:
        cdef Observer member
        if not self.enabled:
            return 0
        for member in self.members:
            try:
                getattr(member, event)(*arguments)
            except Exception:  # noqa: BLE001  an application's observer may raise anything
                self.report(member)
        return 0

    cpdef on_started(self, request):
        cdef Observer member
        if not self.enabled:
            return
        for member in self.members:
            try:
                member.on_started(request)
            except Exception:  # noqa: BLE001  an application's observer may raise anything
                self.report(member)

    cpdef on_queued(self, request):
        self.tell("on_queued", (request,))

    cpdef on_sent(self, request, str endpoint, bint is_speculative):
        cdef Observer member
        if not self.enabled:
            return
        for member in self.members:
            try:
                member.on_sent(request, endpoint, is_speculative)
            except Exception:  # noqa: BLE001  an application's observer may raise anything
                self.report(member)

    cpdef on_attempt_failed(self, request, str endpoint, error):
        self.tell("on_attempt_failed", (request, endpoint, error))

    cpdef on_retried(self, request, error, double delay):
        self.tell("on_retried", (request, error, delay))

    cpdef on_page(self, request, before):
        self.tell("on_page", (request, before))

    cpdef on_finished(self, request, error, double seconds):
        cdef Observer member
        if not self.enabled:
            return
        for member in self.members:
            try:
                member.on_finished(request, error, seconds)
            except Exception:  # noqa: BLE001  an application's observer may raise anything
                self.report(member)

    cpdef on_connection_opened(self, str endpoint):
        self.tell("on_connection_opened", (endpoint,))

    cpdef on_connection_lost(self, str endpoint, error):
        self.tell("on_connection_lost", (endpoint, error))

    cpdef on_node_up(self, str endpoint):
        self.tell("on_node_up", (endpoint,))

    cpdef on_node_down(self, str endpoint):
        self.tell("on_node_down", (endpoint,))


# Where a program imports it from.
(<PyTypeObject*>Observer).tp_name = "async_cassandra.observers.Observer"
