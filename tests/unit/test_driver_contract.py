"""The contract with the driver: it holds for the driver at hand, and it is all that is relied on."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cassandra import metadata

from async_cassandra._driver.contract import CONTRACT, Name, Overridden
from tests.support.private_names import SOURCE, Use, driver_class, has_name, uses

ENTRIES = [(owner, entry) for owner, entries in CONTRACT.items() for entry in entries]
OVERRIDDEN = [(owner, entry) for owner, entry in ENTRIES if isinstance(entry, Overridden)]
FILES = sorted(
    path
    for path in SOURCE.rglob("*")
    if path.suffix in (".py", ".pyx") and path.name != "contract.py"
)
# What the driver has a private name like, and is not the driver's here.
NOT_OF_THE_DRIVER = {
    ("monitoring", "_metrics"),
    ("server.guard", "_exit"),
}


def name_of(part: str | Name) -> str:
    return part.name if isinstance(part, Name) else part


each_entry = pytest.mark.parametrize(("owner", "entry"), ENTRIES, ids=name_of)
each_overridden = pytest.mark.parametrize(("owner", "entry"), OVERRIDDEN, ids=name_of)
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: module_of(path))


def module_of(path: Path) -> str:
    name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    return name.removesuffix(".__init__")


def relied_on(path: Path) -> Iterator[Use]:
    module = module_of(path)
    return (use for use in uses(path) if (module, use.name) not in NOT_OF_THE_DRIVER)


def is_listed(module: str, use: Use) -> bool:
    return any(
        entry.name == use.name and module in entry.used_by
        for owner, entry in ENTRIES
        if not use.owners or owner in use.owners
    )


def functions_that_touch(name: str) -> set[str]:
    """The functions of the contract that touch a private name, or find it by its prefix."""
    stem = "_SELECT_" if name.startswith("_SELECT_") else name
    text = (SOURCE / "_driver" / "contract.py").read_text()
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    return {function.name for function in functions if stem in ast.unparse(function)}


def parameters(function: object) -> str:
    """As in the definition, without defaults."""
    assert callable(function)
    found = list(inspect.signature(function).parameters.values())
    return ", ".join(str(p.replace(default=p.empty)) for p in found if p.name != "self")


def bind_like_the_driver(function: object, given: list[str]) -> None:
    """Pass arguments by the driver's names, or in its order where ours have no names for callers.

    :raises TypeError: if the function does not take them
    """
    assert callable(function)
    signature = inspect.signature(function)
    own = list(signature.parameters.values())
    unnamed = [parameter.name for parameter in own if parameter.kind is parameter.POSITIONAL_ONLY]
    count = len(unnamed) - ("self" in unnamed)
    signature.bind_partial(*unnamed, **dict.fromkeys(given[count:]))


@each_entry
def test_driver_has_what_the_contract_says(owner: str, entry: Name) -> None:
    kind = driver_class(owner)
    assert has_name(kind, entry.name)
    value = getattr(kind, entry.name, None)
    if entry.parameters is None:
        assert not inspect.isroutine(value)
    else:
        assert parameters(value) == entry.parameters


@each_file
def test_private_names_are_in_the_contract(path: Path) -> None:
    module = module_of(path)
    missing = [use for use in relied_on(path) if not is_listed(module, use)]
    assert [f"{use.name} in line {use.line}" for use in missing] == []


@each_file
def test_private_names_of_others_are_reached_through_the_contract(path: Path) -> None:
    direct = [use for use in relied_on(path) if not use.is_inherited]
    assert [f"{use.name} in line {use.line}" for use in direct] == []


def test_functions_of_the_contract_touch_no_other_private_names() -> None:
    listed = {entry.name for _, entry in ENTRIES}
    touched = {use.name for use in uses(SOURCE / "_driver" / "contract.py")}
    assert touched <= listed | {"_SELECT_"}


@each_entry
def test_modules_of_the_contract_use_the_name(owner: str, entry: Name) -> None:
    """Itself, or by a function of the contract that does."""
    for module in entry.used_by:
        path = SOURCE / f"{module.replace('.', '/')}.py"
        words = set(re.findall(r"\w+", path.read_text()))
        if entry.name.startswith("_") and not isinstance(entry, Overridden):
            by_itself = entry.name in {"__init__", *(use.name for use in uses(path))}
        else:
            by_itself = entry.name in words
        assert by_itself or words & functions_that_touch(entry.name), module


@each_overridden
def test_what_is_in_the_drivers_place_takes_what_the_drivers_takes(
    owner: str, entry: Overridden
) -> None:
    for module in entry.used_by:
        names = vars(importlib.import_module(f"async_cassandra.{module}"))
        source = (SOURCE / f"{module.replace('.', '/')}.py").read_text()
        kinds = [names[kind] for kind in re.findall(r"^class (\w+)", source, re.MULTILINE)]
        places = [getattr(kind, entry.name) for kind in kinds if entry.name in vars(kind)]
        assert places
        for place in places if entry.parameters else ():
            bind_like_the_driver(place, re.findall(r"(?<!\*)\b\w+", entry.parameters or ""))


def test_every_query_of_a_schema_parser_may_be_restricted() -> None:
    """Each reads a whole table of the schema, and nothing else of a parser begins as they do."""
    for parser in (metadata.SchemaParserV3, metadata.SchemaParserV4):
        queries = [getattr(parser, name) for name in dir(parser) if name.startswith("_SELECT_")]
        assert len(queries) > 8
        for query in queries:
            assert re.fullmatch(r"SELECT .+ FROM [\w.]+", query, re.IGNORECASE)
