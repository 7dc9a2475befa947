"""Compiled modules come out of the library, and nothing else does."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

import async_cassandra._compiled as _compiled  # type: ignore[import-not-found]
from async_cassandra._library import LIBRARY

PACKAGE = Path(__file__).parents[2] / "src" / "async_cassandra"
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.pyx"))
]


def test_library_has_every_compiled_module() -> None:
    assert sorted(LIBRARY.modules) == MODULES


@pytest.mark.parametrize("name", MODULES)
def test_compiled_module_is_in_the_library(name: str) -> None:
    module = import_module(name)
    assert (module.__name__, module.__file__) == (name, _compiled.__file__)


@pytest.mark.parametrize(
    "name", ["async_cassandra._wire.no_such_module", "async_cassandra._wire", "rows", "json"]
)
def test_other_modules_are_left_to_the_others(name: str) -> None:
    assert LIBRARY in sys.meta_path
    assert LIBRARY.find_spec(name) is None


def test_missing_module_of_a_package_is_an_import_error() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"_wire\.no_such_module"):
        import_module("async_cassandra._wire.no_such_module")
