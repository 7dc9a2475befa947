"""Documents, docstrings and messages are in plain English: ``WORDS`` has what to write instead of what.

CONTRIBUTING.md has the rules under "Words". Private docstrings and comments follow them as well, but are not searched.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("examples/**/*.md")),
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")),
]
SOURCES = sorted((*ROOT.glob("src/**/*.py"), *ROOT.glob("src/**/*.pyx")))

# What to look for, what to write instead, and a sentence in which it must be found.
WORDS = [
    (r"\bfor ever\b", "forever, without limit", "math.inf waits for ever"),
    (r"\bat the most\b", "at most", "rows in each list at the most"),
    (r"\b(is|are) none (that|of (?!these))", "is not one that", "host a is none that is used"),
    (r"\bif (it is|they are) none\b", "if it is not one", "refused if it is none"),
    (r"\bthere is none of\b", "it does not exist", "if there is none of that name"),
    (
        r"(?<![Tt]here )\b(is|are) no (?!longer\b|more\b|defence\b)[a-z]",
        "is not a",
        "a TypeError if it is no batch",
    ),
    (
        r"\b(again|refuses?|prepared) by (itself|themselves)\b",
        "automatically",
        "prepared by itself",
    ),
    (r"\b(is|are|was|were) to be \w+ed\b", "must be", "the licence is to be signed first"),
    (r"\bof the application's own\b", "the application's own", "a loop of the application's own"),
    (r"\b(holds?|held)( \w+){0,2} for (up|down)\b", "considers", "the cluster holds it for down"),
    (
        r"\b(it|that|this|page) (says of the driver )?holds for\b",
        "applies to",
        "it holds for reads",
    ),
    (r"\b(is|are|be|was) taken for\b", "mistaken for", "an answer is taken for another's"),
    (r"\b(once|one) a (value|statement|node|request)\b", "per", "they are called once a value"),
    (r"\bwhat follows from\b", "the consequences of", "what follows from the response"),
    (r"\blately\b", "recently", "so many requests failed lately"),
    (r"\ball the same\b", "nevertheless, still", "the name is sent all the same"),
    (r"\bgo(es)? on working\b", "keeps working", "the driver goes on working"),
    (r"[;,] idempotent\.?(\s|$)", "can be called again", "Close every session; idempotent."),
    (r"\bknows no\b", "does not know", "protocol v4 knows no keyspace"),
    (r"\bchanges? of the schema\b", "schema change", "a change of the schema is seen"),
    (r"\bexact(ly spelled| spelling)\b", "in the server's spelling", "exactly spelled"),
    (r"\bwhat unqualified names\b", "the keyspace for them", "what unqualified names mean"),
    (r"\bto be had\b", "available", "there is no Cassandra to be had"),
    (r"\b(came|comes) whole\b", "arrived complete", "its answer came whole"),
    (r"\b(break|broke)\w* the (native )?protocol\b", "violates", "bytes that break the protocol"),
    (r"\bin the end\b", "at the end", "delete it in the end"),
    (r"\banew\b", "again", "a password is read anew"),
    (r"\bon their way\b", "in transit", "the bytes changed on their way"),
    (r"\bless (its|the|what)\b", "without", "a server's words, less its literals"),
    (r"\bsays of\b", "says about", "what the CQL says of a write"),
    (r"\bbelongs? into\b", "belongs in", "values belong into parameters"),
    (r"\bfinds? fault with\b", "reports, complains about", "find fault with every request"),
]
# First words of a summary that has no verb.
NO_VERB = re.compile(
    r"(A|An|The|This|That|These|It|Its|Any|All|Each|Every|No|None|Nothing|One|Both|Up|As|At|By|For|From|In|Of|On"
    r"|To|With|Without|What|Which|Who|Whose|Where|When|Why|How|Rows|Seconds|Milliseconds)\b"
)


def found(text: str) -> list[str]:
    """What there is to say about a text, each as ``found -> instead``."""
    text = " ".join(text.split())
    return [
        f"{text[max(match.start() - 30, 0) : match.end() + 30]!r} -> {instead}"
        for pattern, instead, _ in WORDS
        for match in re.finditer(pattern, text)
    ]


def prose(page: str) -> str:
    """A page without code, comments and the tables that tools write."""
    page = re.sub(r"<!-- table:.*?<!-- end of the table", "", page, flags=re.DOTALL)
    page = re.sub(r"^```.*?^```|<!--.*?-->", "", page, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "`", page)


def is_public(node: ast.AST) -> bool:
    name: str = getattr(node, "name", "")
    return not name.startswith("_") or name.startswith("__")


def docstrings(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text and is_public(node):
                yield node, text


def messages(tree: ast.AST) -> Iterator[str]:
    """Literals of several words, without docstrings; ``_`` for what is filled in."""
    seen: set[int] = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            seen.update(map(id, node.values))
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "_" for part in node.values
            )
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in seen
        ):
            yield node.value


def english(source: Path) -> Iterator[str]:
    text = source.read_text()
    if source.suffix == ".pyx":
        for match in re.finditer(r'"""(.*?)"""|"([^"\n]* [^"\n]*)"', text, re.DOTALL):
            yield match[1] or match[2]
        return
    tree = ast.parse(text)
    yield from (docstring for _, docstring in docstrings(tree))
    yield from messages(tree)


def without_verb(tree: ast.AST) -> list[str]:
    """Public functions whose summary does not begin with a verb or "Whether"; properties may be nouns."""
    return [
        f"{node.name}: {text.splitlines()[0]}"
        for node, text in docstrings(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not any("property" in ast.unparse(each) for each in node.decorator_list)
        and NO_VERB.match(text)
    ]


@pytest.mark.parametrize(("pattern", "instead", "planted"), WORDS)
def test_words_are_found_where_they_are_planted(pattern: str, instead: str, planted: str) -> None:
    assert [line for line in found(planted) if line.endswith(f"-> {instead}")]
    assert found(instead) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_is_in_plain_english(page: Path) -> None:
    assert found(prose(page.read_text())) == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.relative_to(ROOT)))
def test_docstrings_and_messages_are_in_plain_english(source: Path) -> None:
    assert [line for text in english(source) for line in found(text)] == []


def test_summaries_of_functions_have_a_verb() -> None:
    trees = [ast.parse(source.read_text()) for source in SOURCES if source.suffix == ".py"]
    assert [line for tree in trees for line in without_verb(tree)] == []


def test_summary_without_a_verb_is_found() -> None:
    tree = ast.parse('def size(): "The size in bytes."\n@property\ndef name(): "The name."')
    assert without_verb(tree) == ["size: The size in bytes."]


def test_messages_and_docstrings_are_all_read(tmp_path: Path) -> None:
    text = 'class A:\n    """It waits for ever."""\nraise ValueError(f"{1} is no batch")\n'
    for name in ("a.py", "a.pyx"):
        (tmp_path / name).write_text(text)
        assert len([line for each in english(tmp_path / name) for line in found(each)]) == 2
