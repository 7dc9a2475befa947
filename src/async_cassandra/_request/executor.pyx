"""What the requests of one session share: its nodes, its queue, its clock and its counters."""

from async_cassandra._request.awaited cimport Wakeups
from async_cassandra._request.budget cimport Budget
from async_cassandra._request.flights cimport PrepareFlights
from async_cassandra._request.waiting cimport WaitQueue


cdef class Executor:
    """Admits the requests of one session.

    :param plans: how rows are decoded
    :param max_queued: requests that may wait for a place; 0 refuses at once
    :param attempt_fraction: share of the timeout after which an idempotent request also asks another node, 0 to 1
    :param budget: of retries and hedges, shared by the sessions of a cluster; ``None`` for one of its own
    :param can_name_keyspaces: the protocol lets a request name a keyspace; else its connection's is what names mean
    :ivar observer: told of what happens to requests; ``None`` for nobody
    :ivar keyspace: the keyspace for unqualified names from now on; ``None`` for none
    :ivar statement_mark: what the text of each PREPARE ends with, beyond the statement
    :ivar on_none_relying: called when the last one ends of the requests that :attr:`has_relying` is about
    :ivar hedges: attempts started while another one of the request was live
    :ivar superseded: attempts given up because another one of the request was answered first
    """

    def __cinit__(self, loop, TimerQueue timers not None, RowPlans plans not None, *,
                  Py_ssize_t max_queued=100_000, double attempt_fraction=0.3, Budget budget=None,
                  bint can_name_keyspaces=True):
        self.loop = loop
        self.wakeups = Wakeups(loop)
        self.timers = timers
        self.can_name_keyspaces = can_name_keyspaces
        self.statement_mark = ""
        self.max_queued = max_queued
        self.attempt_fraction = attempt_fraction
        self.budget = Budget() if budget is None else budget
        self.budget.start(timers.now())
        self.nodes = {}
        self.routes = {}
        self.plans = plans
        self.queue = WaitQueue(loop, self.nodes, timers)
        self.flights = PrepareFlights()

    @property
    def queued(self):
        """Requests that wait for a place."""
        return self.queue.size

    def on_available(self):
        """Send what is queued, oldest first, as far as there is place."""
        self.queue.on_available()

    @property
    def has_relying(self):
        """Whether requests are under way whose names mean what their connection's keyspace is."""
        return self.relying > 0

    cdef int release_keyspace(self) except -1:
        self.relying -= 1
        if self.relying == 0 and self.on_none_relying is not None:
            self.on_none_relying()
        return 0

    def close(self):
        """Refuse further requests; those admitted go on."""
        self.closed = True

    def fail_waiting(self, error):
        """Fail what waits for a place or for its next attempt, and refuse further requests."""
        self.closed = True
        for request in self.timers.running() + self.queue.waiting():
            request.fail_waiting(error)
