"""Compiled modules come out of their package's library, and nothing else does."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from async_cassandra._libraries import LIBRARIES

PACKAGE = Path(__file__).parents[2] / "src" / "async_cassandra"
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in sorted(PACKAGE.rglob("*.pyx"))
]


@pytest.mark.parametrize("name", MODULES)
def test_compiled_module_is_in_the_library_of_its_package(name: str) -> None:
    module = import_module(name)
    library = import_module(f"{module.__package__}._compiled")
    assert (module.__name__, module.__file__) == (name, library.__file__)
    assert name.rpartition(".")[2] in library.modules.split()


@pytest.mark.parametrize(
    "name", ["async_cassandra._wire.no_such_module", "async_cassandra._wire", "rows", "json"]
)
def test_other_modules_are_left_to_the_others(name: str) -> None:
    assert LIBRARIES in sys.meta_path
    assert LIBRARIES.find_spec(name) is None


def test_missing_module_of_a_package_is_an_import_error() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"_wire\.no_such_module"):
        import_module("async_cassandra._wire.no_such_module")
