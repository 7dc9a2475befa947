"""What a session is doing, for people to read: :meth:`AsyncCassandraSession.stats` gives it."""

from async_cassandra._session.picture import NodeStats, SessionStats

__all__ = ["NodeStats", "SessionStats"]
