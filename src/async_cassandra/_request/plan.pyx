"""Where a session's requests may go: the control plane's routing in this session's nodes, and one request's plan."""

from cpython.object cimport PyTypeObject

from async_cassandra._driver.lookups cimport TokenRing

cdef extern from "pool.h":
    """
    POOL(plan_pool)
    """
    void plan_pool_use(PyTypeObject* kind)

cdef tuple NOBODY = ()
cdef object END = object()
# Hosts that are read of one plan: no cluster has as many, but a plan may have no end.
DEF MAX_HOSTS = 10_000


cdef class PolicyPlan:
    """An application's own policy's answer for one request, read as far as it is needed.

    Hosts without connections are passed over, as is one that comes again. It ends when every node was given.

    :param hosts: an iterable, which may be slow, raise or never end
    :param nodes: host to its node
    """

    def __cinit__(self, hosts, dict nodes not None):
        self.hosts = iter(hosts)
        self.nodes = nodes
        self.given = set()
        self.unread = MAX_HOSTS

    cdef NodeConnections next_node(self):
        while self.unread and len(self.given) < len(self.nodes):
            self.unread -= 1
            host = next(self.hosts, END)
            if host is END:
                break
            node = self.nodes.get(host)
            if node is not None and node not in self.given:
                self.given.add(node)
                return <NodeConnections>node
        self.unread = 0
        return None


cdef class Plan:
    """The nodes that one request may go to, each once, in the order in which they are tried."""

    cdef NodeConnections next_node(self):
        """Return the next node; ``None`` at the end. Local nodes go round robin, the others follow in order."""
        cdef NodeConnections node
        cdef Py_ssize_t index
        if self.replica_index < len(self.replicas):
            self.replica_index += 1
            return <NodeConnections>self.replicas[self.replica_index - 1]
        while self.other_index < len(self.others):
            index = self.other_index
            if index < self.local_count:
                index = (self.other_start + index) % self.local_count
            self.other_index += 1
            node = <NodeConnections>self.others[index]
            if node not in self.replicas:
                return node
        return None if self.policy_plan is None else self.policy_plan.next_node()

    cdef Connection next_connection(self, set left_out):
        """The next connection that can take a request now; those that owe answers come last.

        :param left_out: nodes to pass over; ``None`` for none
        """
        cdef NodeConnections node
        cdef Connection connection
        while True:
            node = self.next_node()
            if node is None:
                break
            if left_out is not None and node in left_out:
                continue
            connection = node.pick()
            if connection is None:
                continue
            if not connection.suspect:
                return connection
            if self.suspects is None:
                self.suspects = []
            self.suspects.append(node)
        while self.suspects:
            node = <NodeConnections>self.suspects.pop(0)
            connection = node.pick()
            if connection is not None and (left_out is None or node not in left_out):
                return connection
        return None


cdef Plan new_plan(tuple replicas, tuple others, PolicyPlan policy_plan):
    cdef Plan plan = Plan.__new__(Plan)
    plan.replicas = replicas
    plan.others = others
    plan.policy_plan = policy_plan
    return plan


cdef class Routes:
    """One load balancing policy's choice at one moment, in this session's nodes.

    :param local: nodes that take requests in turn
    :param others: every other node with connections, to be tried after them
    :param rings: keyspace to its :class:`TokenRing`; ``None`` if the policy does not look at tokens
    :param want_keyspace: called with a keyspace that has no ring yet
    :param rotates: start with another replica each time, instead of the first
    """

    def __cinit__(self, tuple local not None, tuple others not None, dict rings, want_keyspace, bint rotates=False):
        self.nodes = local + others
        self.local_count = len(local)
        self.rings = rings
        self.want_keyspace = want_keyspace
        self.rotates = rotates

    cdef tuple replicas(self, str keyspace, int64_t token):
        """The nodes that own ``token``; empty while the keyspace's ring is being built."""
        cdef tuple nodes
        cdef Py_ssize_t start
        ring = self.rings.get(keyspace)
        if ring is None:
            if keyspace is not None:
                self.want_keyspace(keyspace)
            return NOBODY
        nodes = (<TokenRing>ring).replicas(token)
        if self.rotates and len(nodes) > 1:
            start = self.plans % len(nodes)
            return nodes[start:] + nodes[:start]
        return nodes

    cdef Plan plan(self, Call call):
        """Replicas of the row first, then the other nodes in turn."""
        cdef tuple replicas = NOBODY
        self.plans += 1
        if call.has_token and self.rings is not None:
            replicas = self.replicas(call.routing_keyspace, call.token)
        cdef Plan plan = new_plan(replicas, self.nodes, None)
        if self.local_count:
            plan.other_start = self.plans % self.local_count
            plan.local_count = self.local_count
        return plan


plan_pool_use(<PyTypeObject*>Plan)
