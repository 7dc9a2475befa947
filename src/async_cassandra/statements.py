"""Statements: the driver's, and its own classes where this library adds to them."""

from cassandra.query import BatchType, SimpleStatement

from async_cassandra._statements.statements import BatchStatement, BoundStatement, PreparedStatement

__all__ = ["BatchStatement", "BatchType", "BoundStatement", "PreparedStatement", "SimpleStatement"]
