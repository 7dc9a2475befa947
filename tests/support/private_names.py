"""Private names: which the driver has, and which this library's sources touch."""

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cassandra

import async_cassandra

SOURCE = Path(async_cassandra.__file__).parent
DRIVER = Path(cassandra.__file__).parent
_PRIVATE = re.compile(r"_[A-Za-z]\w*")
_COMPILED_ACCESS = re.compile(r"(?<![\w.])(?!self\.)\w+(?:\.\w+)*\.(_[A-Za-z]\w*)")
_COMPILED_DEFINITION = re.compile(r"\b(?:def|class|\w+) +(_[A-Za-z]\w*)|\.(_[A-Za-z]\w*) *=[^=]")
_COMPILED_STRING = re.compile(r"[\"'](_[A-Za-z]\w*)[\"']")
# What any named tuple has.
_NAMED_TUPLE = frozenset({"_asdict", "_field_defaults", "_fields", "_make", "_replace"})


@dataclass(frozen=True, slots=True)
class Use:
    """A private name of the driver in one of this library's modules.

    :ivar owners: the driver's classes that have it, as ``module.Class``; empty where the sources do
        not tell whose it is
    :ivar is_inherited: whether a class that derives from the owner uses it of itself
    """

    name: str
    line: int
    owners: frozenset[str] = frozenset()
    is_inherited: bool = False


def driver_class(owner: str) -> object:
    """The driver's module, or the class in it, of that name."""
    module, _, name = owner.rpartition(".")
    if (DRIVER / f"{owner.partition('.')[2].replace('.', '/')}.py").exists():
        return importlib.import_module(owner)
    return getattr(importlib.import_module(module), name)


def has_name(owner: object, name: str) -> bool:
    """Whether a class, or its instances, or a module of the driver has an attribute."""
    if hasattr(owner, name):
        return True
    kinds = owner.__mro__ if isinstance(owner, type) else ()
    return any(name in _attributes(kind.__module__, kind.__name__) for kind in kinds)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def _attributes(module: str, class_name: str) -> frozenset[str]:
    """What the methods of a class of the driver assign to ``self``."""
    path = DRIVER.parent / f"{module.replace('.', '/')}.py"
    if module == "cassandra":
        path = DRIVER / "__init__.py"
    if not module.startswith("cassandra") or not path.exists():
        return frozenset()
    return frozenset(
        node.attr
        for kind in ast.walk(_tree(path))
        if isinstance(kind, ast.ClassDef) and kind.name == class_name
        for node in ast.walk(kind)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and ast.unparse(node.value) == "self"
    )


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(attr=name, ctx=ast.Store(), value=ast.Name(id="self" | "cls")):
                yield name


@cache
def drivers_names() -> frozenset[str]:
    """Every private name that the driver's modules define, on whatever."""
    return frozenset(
        name
        for path in DRIVER.rglob("*.py")
        for name in _defined(_tree(path))
        if _PRIVATE.fullmatch(name)
    )


@cache
def own_names() -> frozenset[str]:
    """Every private name that this library defines outside of classes derived from the driver's."""
    names: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for node in _tree(path).body:
            if not (isinstance(node, ast.ClassDef) and _drivers_bases(path, node.name)):
                names.update(_defined(ast.Module([node], [])))
    for path in [*SOURCE.rglob("*.pyx"), *SOURCE.rglob("*.pxd")]:
        for groups in _COMPILED_DEFINITION.findall(path.read_text()):
            names.update(groups)
        names.update(_COMPILED_STRING.findall(path.read_text()))
    return frozenset(name for name in names if _PRIVATE.fullmatch(name))


@cache
def _drivers_bases(path: Path, class_name: str) -> tuple[type, ...]:
    """The driver's classes that a class of ours derives from."""
    if path.parent.name == "contrib" or path.name in ("__main__.py", "pytest_plugin.py"):
        return ()  # of extras, or not to be imported here
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    kind = getattr(importlib.import_module(".".join(parts)), class_name, object)
    return tuple(base for base in kind.__mro__ if base.__module__.partition(".")[0] == "cassandra")


@cache
def uses(path: Path) -> tuple[Use, ...]:
    """The private names of the driver, and those of nobody known, that a module touches."""
    if path.suffix != ".py":
        return tuple(_compiled_uses(path.read_text()))
    found: dict[tuple[str, int], Use] = {}
    for statement in _tree(path).body:
        bases: tuple[type, ...] = ()
        if isinstance(statement, ast.ClassDef):
            bases = _drivers_bases(path, statement.name)
        for use in _uses(statement, bases):
            found.setdefault((use.name, use.line), use)
    return tuple(found.values())


def _uses(statement: ast.stmt, bases: tuple[type, ...]) -> Iterator[Use]:
    on_new = set(_on_new_instances(statement))
    for node in ast.walk(statement):
        match node:
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] == "cassandra":
                for alias in filter(lambda alias: _PRIVATE.fullmatch(alias.name), node.names):
                    yield Use(alias.name, node.lineno, frozenset({module}))
            case ast.Attribute(attr=name) if _PRIVATE.fullmatch(name):
                yield from _access(node, bases, is_own=node in on_new)
            case ast.Constant(value=str(text)) if _PRIVATE.fullmatch(text):
                if text in drivers_names() - _NAMED_TUPLE or _is_prefix(text):
                    yield Use(text, node.lineno)
    for name in _body_names(statement):
        if owners := _owners(bases, name):
            yield Use(name, statement.lineno, owners, is_inherited=True)


def _on_new_instances(statement: ast.stmt) -> Iterator[ast.Attribute]:
    """Accesses to what ``cls.__new__(cls)`` made, by variables that hold nothing else."""
    for function in ast.walk(statement):
        if isinstance(function, ast.FunctionDef):
            nodes = list(ast.walk(function))
            made = [target for node in nodes for target in _new_instances(node)]
            stored = [
                n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            ]
            own = {name for name in made if stored.count(name) == made.count(name)}
            accesses = (node for node in nodes if isinstance(node, ast.Attribute))
            yield from (access for access in accesses if ast.unparse(access.value) in own)


def _new_instances(node: ast.AST) -> list[str]:
    """The variables that an assignment of ``cls.__new__(cls)`` sets."""
    if isinstance(node, ast.Assign) and ast.unparse(node.value) == "cls.__new__(cls)":
        return [ast.unparse(target) for target in node.targets]
    return []


def _access(node: ast.Attribute, bases: tuple[type, ...], *, is_own: bool) -> Iterator[Use]:
    if is_own or ast.unparse(node.value) in ("self", "cls", "super()"):
        if owners := _owners(bases, node.attr):
            yield Use(node.attr, node.lineno, owners, is_inherited=True)
    elif node.attr not in _NAMED_TUPLE and (
        node.attr in drivers_names() or node.attr not in own_names()
    ):
        yield Use(node.attr, node.lineno)


def _owners(bases: tuple[type, ...], name: str) -> frozenset[str]:
    return frozenset(f"{b.__module__}.{b.__name__}" for b in bases if has_name(b, name))


def _body_names(statement: ast.stmt) -> Iterator[str]:
    """The private names that a class has by its body."""
    for node in statement.body if isinstance(statement, ast.ClassDef) else ():
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names = [name]
            case ast.Assign(targets=targets):
                names = [ast.unparse(target) for target in targets]
            case ast.AnnAssign(target=target, value=ast.expr()):
                names = [ast.unparse(target)]
            case _:
                names = []
        yield from filter(_PRIVATE.fullmatch, names)


def _is_prefix(text: str) -> bool:
    """Whether it may be meant to find names of the driver by how they begin."""
    return text.endswith("_") and any(name.startswith(text) for name in drivers_names())


def _compiled_uses(text: str) -> Iterator[Use]:
    places: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r" *(from|c?import|#)", line):
            continue
        for name in (*_COMPILED_ACCESS.findall(line), *_COMPILED_STRING.findall(line)):
            places.setdefault(name, number)
    for name, number in places.items():
        if name in drivers_names() - own_names() - _NAMED_TUPLE:
            yield Use(name, number)
