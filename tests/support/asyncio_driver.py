"""A driver whose default reactor is asyncio's and which has no others, as it is announced.

``install()`` makes ``cassandra.cluster`` such a module, built from the source of the one that is
installed; to be called in an interpreter of its own, before that module is imported.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

import cassandra

MODULE = "cassandra.cluster"
GONE = {f"cassandra.io.{name}reactor" for name in ("libev", "asyncore", "gevent", "eventlet")}
GONE |= {"cassandra.io.twistedreactor", "cassandra.io.libevwrapper"}
CHOICE = re.compile(r"^conn_fns = \(.*\)$", re.MULTILINE)
ASYNCIO = """
def _try_asyncio_import():
    from cassandra.io.asyncioreactor import AsyncioConnection
    return (AsyncioConnection, None)

def _unless_missing(try_import):
    def tried():
        try:
            return try_import()
        except ImportError as error:
            return (None, error)
    return tried

conn_fns = tuple(map(_unless_missing, ({order})))
"""


class Loader(importlib.machinery.SourceFileLoader):
    order = ""

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.path).read_text()
        changed, count = CHOICE.subn(ASYNCIO.format(order=self.order), source)
        assert count == 1, (
            "the driver chooses its reactor in another way: see whether this is needed"
        )
        return compile(changed, self.path, "exec")


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in GONE:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        if fullname != MODULE:
            return None
        source = str(Path(cassandra.__file__).with_name("cluster.py"))
        return importlib.util.spec_from_loader(fullname, Loader(fullname, source))


def install(*, is_first: bool = True) -> None:
    """:param is_first: whether asyncio's reactor is tried before those that are gone"""
    order = ["_try_libev_import", "_try_asyncore_import"]
    order.insert(0 if is_first else len(order), "_try_asyncio_import")
    Loader.order = ", ".join(order)
    assert MODULE not in sys.modules
    sys.meta_path.insert(0, Finder())
