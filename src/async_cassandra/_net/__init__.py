"""Connections in the application's event loop; knows nothing of the driver."""
