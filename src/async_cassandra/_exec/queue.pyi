from async_cassandra._net.timers import Timer

class QueueEntry(Timer):
    @property
    def queued_seconds(self) -> float: ...

class WaitQueue:
    @property
    def size(self) -> int: ...
