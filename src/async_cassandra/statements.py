"""Statements: the driver's classes, and this library's own where it adds to them."""

from cassandra.query import BatchType, SimpleStatement

from async_cassandra._statements.statements import BatchStatement, BoundStatement, PreparedStatement

__all__ = ["BatchStatement", "BatchType", "BoundStatement", "PreparedStatement", "SimpleStatement"]
