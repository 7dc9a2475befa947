"""A complete REST API on Cassandra, with FastAPI; README.md tells how to run it."""
