"""The import where the driver finds no connection class; each in a fresh interpreter."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import async_cassandra

HIDE = """
import sys
for name in ("cassandra.io.libevwrapper", "asyncore", "gevent", "eventlet"):
    sys.modules[name] = None
"""


def run(*parts: str) -> str:
    code = "\n".join(textwrap.dedent(part) for part in parts)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_driver_alone_fails_without_libev() -> None:
    out = run(
        HIDE,
        """
        import cassandra
        try:
            import cassandra.cluster
        except cassandra.DependencyException:
            print("fails")
        """,
    )
    assert out == "fails\n"


def test_package_imports_without_libev() -> None:
    out = run(
        HIDE,
        """
        from async_cassandra import AsyncCluster
        from cassandra.cluster import ExecutionProfile
        print(AsyncCluster.__name__, ExecutionProfile.__name__)
        """,
    )
    assert out == "AsyncCluster ExecutionProfile\n"


def test_only_the_control_plane_and_the_errors_import_the_drivers_cluster() -> None:
    """Elsewhere the import would work or not depending on what was imported before."""
    source = Path(async_cassandra.__file__).parent
    importing = {
        path.relative_to(source).parts[0]
        for path in source.rglob("*.py*")
        if path.suffix in (".py", ".pyx")
        and re.search(r"^\s*(from|import) cassandra\.cluster\b", path.read_text(), re.MULTILINE)
    }
    assert importing == {"_default_connection.py", "_driver"}


def test_stand_in_leaves_no_module_behind() -> None:
    out = run(
        HIDE,
        """
        import async_cassandra._driver
        import cassandra.io
        print("cassandra.io.asyncorereactor" in sys.modules)
        print(hasattr(cassandra.io, "asyncorereactor"))
        """,
    )
    assert out == "False\nFalse\n"


def test_plain_cluster_without_libev_says_what_to_do() -> None:
    out = run(
        HIDE,
        """
        import async_cassandra._driver
        from cassandra import DependencyException
        from cassandra.cluster import Cluster
        cluster = Cluster(["127.0.0.1"])
        try:
            cluster.connect()
        except DependencyException as error:
            print(error)
        cluster.shutdown()
        """,
    )
    assert "connection_class" in out


def test_driver_keeps_its_own_class_where_it_has_one() -> None:
    out = run(
        """
        import sys
        try:
            import cassandra.io.libevwrapper
        except ImportError:
            print("LibevConnection")
        else:
            import async_cassandra._driver
            from cassandra.cluster import Cluster
            print(Cluster.connection_class.__name__)
        """
    )
    assert out == "LibevConnection\n"
