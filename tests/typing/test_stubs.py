"""The stubs beside the compiled modules describe them as they are."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
COMPILED = sorted((SOURCE / "async_cassandra").rglob("*.pyx"))
NAMES = [".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in COMPILED]

CLASS = re.compile(r"^(?:cdef )?class (\w+)", re.MULTILINE)
# Cython runs __cinit__ before __init__; where a class has both, the latter tells the parameters.
CONSTRUCTORS = [
    re.compile(rf"^    def {name}\(\s*(?:self|cls)\b,?(.*?)\):$", re.MULTILINE | re.DOTALL)
    for name in ("__init__", "__cinit__", "__new__")
]

type Parameters = list[tuple[str, bool]]
"""Name, and whether it has a default."""


def source_constructors(path: Path) -> dict[str, Parameters]:
    """The constructors' parameters by class, where the source defines any."""
    parts = CLASS.split(path.read_text())[1:]
    found: dict[str, Parameters] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        matches = filter(None, (constructor.search(body) for constructor in CONSTRUCTORS))
        if (match := next(matches, None)) is not None:
            found[name] = [
                source_parameter(parameter.strip())
                for parameter in match[1].split(",")
                if parameter.strip() and not parameter.strip().startswith(("*", ")"))
            ]
    return found


def source_parameter(parameter: str) -> tuple[str, bool]:
    """Of ``str name not None``, ``int size=0`` or ``str name not None=""``."""
    declared, equals, _ = parameter.replace(" not None", "").partition("=")
    return declared.split()[-1], bool(equals)


def stub_constructors(path: Path) -> dict[str, Parameters]:
    """The same, of a stub."""
    return {
        node.name: stub_parameters(method.args)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name in ("__init__", "__new__")
    }


def stub_parameters(arguments: ast.arguments) -> Parameters:
    positional = arguments.args[1:]
    required = len(positional) - len(arguments.defaults)
    return [(argument.arg, index >= required) for index, argument in enumerate(positional)] + [
        (argument.arg, default is not None)
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]


def test_every_compiled_module_has_a_stub() -> None:
    stubs = sorted((SOURCE / "async_cassandra").rglob("*.pyi"))
    assert [path.with_suffix(".pyi") for path in COMPILED] == stubs


@pytest.mark.timeout(180)
def test_stubs_are_what_the_compiled_modules_show() -> None:
    pytest.importorskip("mypy", reason="the checker of types is no dependency of the tests")
    shown = subprocess.run(
        [
            *(sys.executable, "-m", "mypy.stubtest", "--concise"),
            *("--mypy-config-file", "pyproject.toml"),
            *("--allowlist", str(Path(__file__).with_name("stubtest_allowlist.txt"))),
            *("--ignore-unused-allowlist", "--ignore-positional-only", "--ignore-disjoint-bases"),
            *NAMES,
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr


@pytest.mark.parametrize("path", COMPILED, ids=NAMES)
def test_constructors_are_those_of_the_source(path: Path) -> None:
    """A compiled constructor does not tell its parameters at runtime."""
    source = source_constructors(path)
    stub = stub_constructors(path.with_suffix(".pyi"))
    assert stub == {name: source[name] for name in stub if name in source}
