"""Where a session's requests may go: the control plane's routing in this session's nodes."""

from async_cassandra._driver.ring cimport TokenRing

cdef tuple NOBODY = ()


cdef class Routes:
    """One load balancing policy's choice at one moment, in this session's nodes.

    :param local: nodes that take requests in turn
    :param others: every other node with connections, to be tried after them
    :param rings: keyspace to its :class:`TokenRing`; ``None`` if the policy does not look at tokens
    :param want_keyspace: called with a keyspace that has no ring yet
    :param rotates: start with another replica each time, instead of the first
    """

    def __init__(self, tuple local not None, tuple others not None, dict rings, want_keyspace, bint rotates=False):
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
            start = self.turn % len(nodes)
            return nodes[start:] + nodes[:start]
        return nodes
