"""Every Python block of the documentation runs, in the order of its page, against the real server.

A page's blocks share one namespace, which begins with a ``session`` in a keyspace of its own, its
``cluster``, the ``settings`` of that and ``asyncio``. What else a block needs is set up in an HTML
comment before it that
begins with ``python``: it runs too, and readers do not see it.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

import async_cassandra
from async_cassandra import AsyncCluster
from async_cassandra.server import RunningServer

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"^(?:```python[^\n]*|<!-- python)\n(.*?)^(?:```|-->)$", re.MULTILINE | re.DOTALL
)
PAGES = [
    path.relative_to(ROOT)
    for path in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")))
    if BLOCK.search(path.read_text())
]


def blocks(page: Path) -> Iterator[CodeType]:
    """A page's blocks; an error in one has the page's name and line."""
    text = (ROOT / page).read_text()
    for found in BLOCK.finditer(text):
        source = "\n" * text.count("\n", 0, found.start(1)) + found[1]
        yield compile(source, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def keyspaces(server: RunningServer) -> set[str]:
    rows = server.execute("SELECT keyspace_name FROM system_schema.keyspaces")
    return {str(row["keyspace_name"]) for row in rows}


async def awaited(code: CodeType, names: dict[str, Any]) -> None:
    await eval(code, names)


@pytest.fixture
def local_cluster(monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]) -> list[AsyncCluster]:
    """Lead the clusters of programs to the server of the test run, wherever they look for one."""
    opened: list[AsyncCluster] = []

    class LocalCluster(AsyncCluster):
        def __init__(self, contact_points: object = None, port: int = 9042, **kwargs: Any) -> None:
            super().__init__(**{**kwargs, **settings})
            opened.append(self)

    monkeypatch.setattr(async_cassandra, "AsyncCluster", LocalCluster)
    return opened


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=str)
def test_blocks_of_page_run(
    page: Path,
    local_cluster: list[AsyncCluster],
    settings: dict[str, Any],
    cassandra_server: RunningServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    keyspace = f"docs_{re.sub('[^a-z]', '_', page.stem.lower())}"
    before = keyspaces(cassandra_server)
    cassandra_server.execute(
        f"CREATE KEYSPACE {keyspace} WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    with asyncio.Runner() as runner:
        cluster = async_cassandra.AsyncCluster()
        session = runner.run(cluster.connect(keyspace))
        module = ModuleType("docs_page")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        names = vars(module)
        names.update(asyncio=asyncio, cluster=cluster, session=session, settings=settings)
        try:
            for code in blocks(page):
                if code.co_flags & inspect.CO_COROUTINE:
                    runner.run(awaited(code, names))
                else:
                    exec(code, names)
        finally:
            for each in local_cluster:
                runner.run(each.shutdown())
            for created in keyspaces(cassandra_server) - before:
                cassandra_server.execute(f"DROP KEYSPACE {created}")


def test_pages_of_the_site_are_all_in_its_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text()
    missing = [path.name for path in ROOT.glob("docs/*.md") if path.name not in navigation]
    assert missing == []
