"""The few forms of CQL that the model understands; whatever else arrives is a mistake of the test."""

import re
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Kind", "Parsed", "parse"]

Kind = str
MARKER = object()

_COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*\n|//[^\n]*\n", re.DOTALL)
_NAME = r"(?:(?P<keyspace>\w+)\s*\.\s*)?(?P<table>\w+)"
_FORMS: dict[Kind, re.Pattern[str]] = {
    kind: re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for kind, pattern in {
        "use": r'use\s+"?(?P<keyspace>\w+)"?',
        "insert": rf"insert\s+into\s+{_NAME}\s*\((?P<columns>[^)]*)\)\s*values\s*\((?P<terms>.*)\)",
        "select": rf"select\s+(?P<columns>[\w\s,*]+?)\s+from\s+{_NAME}\s+where\s+k\s*=\s*(?P<terms>.*)",
        "create table": rf"create\s+table\s+{_NAME}\s*\((?P<terms>.*)\)",
        "drop table": rf"drop\s+table\s+{_NAME}",
        "add column": rf"alter\s+table\s+{_NAME}\s+add\s+(?P<terms>.*)",
        "add field": rf"alter\s+type\s+{_NAME}\s+add\s+(?P<terms>.*)",
    }.items()
}
_TERM = re.compile(r"\?|:\w+|0x[0-9a-f]*|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|'[^']*'", re.IGNORECASE)


@dataclass(slots=True)
class Parsed:
    """A statement; ``keyspace`` is ``None`` where its name is not qualified.

    :ivar columns: named in it, or ``*``
    :ivar terms: for each value :data:`MARKER` or a literal's value
    :ivar definitions: column or field names to types, in DDL
    """

    kind: Kind
    keyspace: str | None
    table: str
    columns: list[str] = field(default_factory=list)
    terms: list[Any] = field(default_factory=list)
    definitions: dict[str, str] = field(default_factory=dict)


def parse(text: str) -> Parsed | None:
    """Understand a statement; ``None`` if it is none of the model's."""
    bare = _COMMENT.sub(" ", text).strip().rstrip(";").strip()
    for kind, form in _FORMS.items():
        found = form.fullmatch(bare)
        if found is None:
            continue
        groups = found.groupdict()
        parsed = Parsed(kind, groups["keyspace"], groups.get("table") or "")
        parsed.columns = [name.strip() for name in (groups.get("columns") or "").split(",")]
        terms = groups.get("terms") or ""
        if kind in ("insert", "select"):
            parsed.terms = [_literal(term) for term in _TERM.findall(terms)]
        else:
            parsed.definitions = _definitions(terms)
        return parsed
    return None


def _literal(term: str) -> Any:
    if term == "?" or term.startswith(":"):
        return MARKER
    if term.startswith("'"):
        return term[1:-1]
    if term[:2].lower() == "0x":
        return bytes.fromhex(term[2:])
    return int(term) if re.fullmatch(r"-?\d+", term) else float(term)


def _definitions(terms: str) -> dict[str, str]:
    definitions = {}
    for part in terms.split(","):
        if part.strip():
            name, spec = part.split(None, 1)
            definitions[name] = re.sub(r"\s+primary\s+key", "", spec.strip(), flags=re.IGNORECASE)
    return definitions
