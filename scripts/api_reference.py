"""The reference on the API page, from the docstrings of every public name; a hook of mkdocs."""

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import async_cassandra

PLACE = "<!-- reference -->"
PACKAGE = async_cassandra.__name__
MODULES = (
    "cluster",
    "session",
    "statements",
    "result",
    "streaming",
    "exceptions",
    "retry_policy",
    "speculation",
    "metrics",
    "monitoring",
    "tls",
    "server",
    "contrib.fastapi",
    "contrib.aiohttp",
)
# A program gets these from the library; how they are made is no part of the interface.
GIVEN = {
    "AsyncCassandraSession",
    "AsyncResultSet",
    "AsyncStreamingResultSet",
    "MeasuredSession",
    "PreparedStatement",
    "Rows",
    "TraceHandle",
}
# The first line that Cython puts before a docstring.
_EMBEDDED = re.compile(r"\A\w+(\.\w+)?\(.*\)(\n\n|\Z)")
_ROLE = re.compile(r":(?:class|meth|attr|mod|func|data):`[~.!]*([^`]*)`")
_CODE = re.compile(r"``(.*?)``", re.DOTALL)
_FIELD = re.compile(r"^:(param|ivar|raises|return|returns)\s*([^:]*):\s*", re.MULTILINE)
_TITLES = {"param": "Parameters", "ivar": "Attributes", "raises": "Raises"}


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the reference where a page has a place for it."""
    return markdown.replace(PLACE, reference()) if PLACE in markdown else markdown


def reference() -> str:
    """Every public name with its docstring, as Markdown."""
    return "\n\n".join(
        part
        for module, names in public_names().items()
        for part in (
            f"## {module}",
            *(entry for name in names for entry in described(module, name)),
        )
    )


def public_names() -> dict[str, list[str]]:
    """The public names by the module that a program imports them from."""
    found = {f"{PACKAGE}.{name}": own_names(f"{PACKAGE}.{name}") for name in MODULES}
    elsewhere = {name for names in found.values() for name in names}
    rest = [name for name in async_cassandra.__all__ if name not in elsewhere]
    return {PACKAGE: rest, **found}


def own_names(module: str) -> list[str]:
    return list(importlib.import_module(module).__all__)


def described(module: str, name: str) -> Iterator[str]:
    """One name: its heading, its signature, its docstring, its members."""
    value = getattr(importlib.import_module(module), name)
    yield f"### {name} {{#{module}.{name}}}"
    if inspect.isclass(value):
        if name not in GIVEN and not issubclass(value, BaseException):
            yield f"```text\n{name}{signature(value)}\n```"
        yield from_docstring(inspect.getdoc(value))
        for member, attribute in members(value):
            yield from described_member(member, attribute)
    elif callable(value):
        keyword = "await " if inspect.iscoroutinefunction(value) else ""
        yield f"```text\n{keyword}{name}{signature(value)}\n```"
        yield from_docstring(inspect.getdoc(value))
    elif getattr(value, "__doc__", None) == type(value).__doc__:
        yield f"`{value!r}`"


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """What this package gives a class beyond the classes outside that it inherits from."""
    seen: set[str] = set()
    for base in kind.__mro__:
        if not base.__module__.startswith(PACKAGE):
            continue
        for name, attribute in vars(base).items():
            if name.startswith("_") or name in seen or not inspect.getdoc(attribute):
                continue
            if callable(getattr(kind, name, None)) or inspect.isdatadescriptor(attribute):
                seen.add(name)
                yield name, attribute


def described_member(name: str, attribute: Any) -> Iterator[str]:
    function = getattr(attribute, "__func__", attribute)
    if inspect.isdatadescriptor(attribute):
        text = from_docstring(inspect.getdoc(attribute))
        yield f"**`{name}`** {text}" if inspect.getdoc(attribute) else f"**`{name}`**"
        return
    keyword = "await " if inspect.iscoroutinefunction(function) else ""
    yield f"**`{keyword}{name}{signature(function)}`**"
    yield from_docstring(inspect.getdoc(attribute))


def signature(value: Any) -> str:
    """The parameters without annotations, which the stubs and the source have."""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "(…)"
    parameters = [
        parameter.replace(
            annotation=parameter.empty,
            default=parameter.default
            if parameter.default is parameter.empty
            else _Shown(parameter.default),
        )
        for parameter in found.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    return str(found.replace(parameters=parameters, return_annotation=found.empty))


class _Shown:
    """A default as a reader wants it: without the address of an object in memory."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        text = getattr(self.value, "__name__", None) or repr(self.value)
        return "…" if " at 0x" in text or text.startswith("<") else str(text)


def from_docstring(text: str | None) -> str:
    """A docstring's fields as lists, its roles and literals as code."""
    if not text:
        return ""
    text = _EMBEDDED.sub("", text)
    text = _CODE.sub(lambda found: "`" + " ".join(found[1].split()) + "`", _ROLE.sub(r"`\1`", text))
    first = _FIELD.search(text)
    if first is None:
        return literal_blocks(text)
    lines = [literal_blocks(text[: first.start()].rstrip())]
    title = ""
    pieces = _FIELD.split(text[first.start() :])[1:]
    for kind, name, words in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True):
        if _TITLES.get(kind, "Returns") != title:
            title = _TITLES.get(kind, "Returns")
            lines += ["", f"{title}:", ""]
        shown = f"`{name.lstrip('~').rpartition('.')[2]}`: " if name else ""
        lines.append(f"- {shown}{' '.join(words.split())}")
    return "\n".join(lines)


def literal_blocks(text: str) -> str:
    """Blocks after ``::`` as fenced ones."""
    parts = re.split(r"::\n\n((?:    .*(?:\n|$)|\n)+)", text)
    for index in range(1, len(parts), 2):
        parts[index] = "\n```text\n" + inspect.cleandoc(parts[index]) + "\n```\n\n"
    return "".join(parts)
