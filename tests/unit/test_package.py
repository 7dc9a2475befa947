"""What the package offers at its top, and when it imports what."""

import subprocess
import sys

import async_cassandra


def test_every_public_name_is_there() -> None:
    assert len(set(async_cassandra.__all__)) == len(async_cassandra.__all__)
    assert all(hasattr(async_cassandra, name) for name in async_cassandra.__all__)
    assert set(async_cassandra.__all__) <= set(dir(async_cassandra))
    assert set(async_cassandra.__all__) == set(async_cassandra._MODULES)


def test_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(async_cassandra, "no_such_name")


def test_public_modules_are_attributes() -> None:
    script = "import async_cassandra; print(async_cassandra.cluster.AsyncCluster.__name__)"
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "AsyncCluster"


def test_pytest_plugin_is_imported_without_core_and_driver() -> None:
    """Every user's pytest loads the plugin, with or without a test that needs Cassandra."""
    script = (
        "import sys, async_cassandra.server.pytest_plugin;"
        "print([name for name in sys.modules if name.split('.')[0] in ('cassandra', 'jgo', 'ssl')"
        " or name.startswith('async_cassandra._')])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
