"""What each request looks up of the control plane, in C: its profile's settings, and its token's replicas."""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef tuple NOBODY = ()


cdef class TokenRing:
    """Tokens in order, each with the replicas of the range that ends with it; immutable.

    :param ranges: (token, replicas in the order to try them) pairs, in any order
    """

    def __init__(self, ranges):
        if self.tokens is not NULL:
            raise TypeError("a TokenRing is built once")
        self.fill(sorted(ranges, key=_token))

    def __dealloc__(self):
        free(self.tokens)

    def __len__(self):
        return self.size

    cdef int fill(self, list ordered) except -1:
        cdef Py_ssize_t index
        cdef Py_ssize_t size = len(ordered)
        self.tokens = <int64_t *> malloc((size + 1) * sizeof(int64_t))
        if self.tokens is NULL:
            raise MemoryError
        for index in range(size):
            self.tokens[index] = ordered[index][0]
        self.owners = _shared([replicas for _, replicas in ordered])
        self.size = size
        return 0

    cpdef tuple replicas(self, int64_t token):
        """The replicas of the range that holds the token; empty if the ring is.

        A range includes its end; tokens behind the last end belong to the first range.
        """
        cdef Py_ssize_t low = 0, high = self.size, middle
        if self.size == 0:
            return NOBODY
        while low < high:
            middle = (low + high) >> 1
            if self.tokens[middle] < token:
                low = middle + 1
            else:
                high = middle
        return <tuple> self.owners[low if low < self.size else 0]

    def mapped(self, dict others not None):
        """This ring with each replica replaced by what ``others`` has for it, and left out if it has nothing."""
        cdef TokenRing ring = TokenRing.__new__(TokenRing)
        cdef dict known = {}
        cdef list owners = []
        for replicas in self.owners:
            found = known.get(id(replicas))
            if found is None:
                found = known[id(replicas)] = tuple([others[host] for host in replicas if host in others])
            owners.append(found)
        ring.tokens = <int64_t *> malloc((self.size + 1) * sizeof(int64_t))
        if ring.tokens is NULL:
            raise MemoryError
        memcpy(ring.tokens, self.tokens, self.size * sizeof(int64_t))
        ring.owners = tuple(owners)
        ring.size = self.size
        return ring


def _token(pair):
    return pair[0]


cdef tuple _shared(list owners):
    """One tuple for all ranges with the same replicas: a ring has far fewer sets of them than ranges."""
    cdef dict known = {}
    result = []
    for replicas in owners:
        replicas = tuple(replicas)
        key = tuple([id(replica) for replica in replicas])
        result.append(known.setdefault(key, replicas))
    return tuple(result)


cdef class ProfileSettings:
    """The settings of an execution profile that requests look up, kept where that takes no search."""


cdef ProfileSettings copied_settings(profile):
    cdef ProfileSettings settings = ProfileSettings.__new__(ProfileSettings)
    settings.load_balancing_policy = profile.load_balancing_policy
    settings.retry_policy = profile.retry_policy
    settings.consistency_level = profile.consistency_level
    settings.serial_consistency_level = profile.serial_consistency_level
    settings.request_timeout = profile.request_timeout
    settings.row_factory = profile.row_factory
    settings.speculative_execution_policy = profile.speculative_execution_policy
    # The driver's classes have no such setting.
    settings.is_idempotent = getattr(profile, "is_idempotent", None)
    return settings
