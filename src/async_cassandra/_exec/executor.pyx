"""What the requests of one session share: its nodes, its queue, its clock and its counters."""

from async_cassandra._exec.awaited cimport Wakeups
from async_cassandra._exec.budget cimport Budget
from async_cassandra._exec.prepared cimport PrepareFlights
from async_cassandra._exec.queue cimport QueueEntry, WaitQueue
from async_cassandra._exec.routes cimport PolicyPlan


cdef class Executor:
    """Admits the requests of one session.

    :param plans: how rows are decoded
    :param faults: makes exceptions and asks retry policies; see :mod:`.faults`
    :param max_queued: requests that may wait for a place; 0 refuses at once
    :param attempt_fraction: share of the timeout after which an idempotent request also asks another node, 0 to 1
    :param budget: of retries and hedges, shared by the sessions of a cluster; ``None`` for one of its own
    :param can_name_keyspaces: the protocol lets a request name a keyspace; else its connection's is what names mean
    :ivar observer: told of what happens to requests; ``None`` for nobody
    :ivar keyspace: what unqualified names mean from now on; ``None`` for none
    :ivar statement_mark: what the text of each PREPARE ends with, beyond the statement
    :ivar on_none_relying: called when the last one ends of the requests that :attr:`has_relying` is about
    :ivar hedges: attempts started while another one of the request was live
    :ivar superseded: attempts given up because another one of the request was answered first
    """

    def __cinit__(self, loop, TimerQueue timers not None, RowPlans plans not None, faults, *,
                  Py_ssize_t max_queued=100_000, double attempt_fraction=0.3, Budget budget=None,
                  bint can_name_keyspaces=True):
        self.loop = loop
        self.wakeups = Wakeups(loop)
        self.timers = timers
        self.faults = faults
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

    def ask_policy(self, request):
        """The plan of a policy of the application's own for a request."""
        return PolicyPlan(request.policy.make_query_plan(request.routing_keyspace, request.statement), self.nodes)

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

    cdef int let_go_of_keyspace(self) except -1:
        self.relying -= 1
        if self.relying == 0 and self.on_none_relying is not None:
            self.on_none_relying()
        return 0

    cdef int free_place(self) except -1:
        self.running -= 1
        if self.running == 0 and self.on_idle is not None:
            self.on_idle()
        return 0

    def close(self):
        """Refuse further requests; those admitted go on."""
        self.closed = True

    def abandon(self, error):
        """Fail what waits for a place or for its next attempt, and refuse further requests."""
        self.closed = True
        for timer in self.timers.running():
            if isinstance(timer, QueueEntry):
                (<QueueEntry>timer).abandon(error)
        self.queue.abandon(error)
