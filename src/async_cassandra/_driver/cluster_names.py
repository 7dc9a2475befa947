"""The names of ``cassandra.cluster`` that other layers use.

Importing that module directly fails where the driver finds no connection class, unless this
package was imported before; importing from here always works.
"""

from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster
from cassandra.cluster import ExecutionProfile as DriverExecutionProfile

__all__ = ["EXEC_PROFILE_DEFAULT", "Cluster", "DriverExecutionProfile"]
