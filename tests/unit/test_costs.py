"""What a change of one kind touches: CONTRIBUTING.md lists the files, and there are no others."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "async_cassandra"


def listed_files(heading: str) -> set[str]:
    """The files of the package that a section of CONTRIBUTING.md names."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition(f"### {heading}\n")[2].partition("\n### ")[0]
    return {name for name in re.findall(r"`([\w./]+)`", section) if (PACKAGE / name).is_file()}


def files_with(names: re.Pattern[str]) -> set[str]:
    """The files of the package in which one of these names occurs."""
    sources = (
        path for path in PACKAGE.rglob("*") if re.fullmatch(r"\.(py|pyi|pyx|pxd)", path.suffix)
    )
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in sources
        if names.search(path.read_text(encoding="utf-8"))
    }


# Types

# What a type is called by; elsewhere than in these layers, the word is also what requests take.
DURATION = re.compile(r"""\b_?DURATION\b|\bDuration(Type|Codec)?\b(?! of)|["'|]duration["'|]""")
ANY_DURATION = re.compile("duration", re.IGNORECASE)
OF_VALUES = ("_wire/", "_driver/", "_cql/")


def test_type_costs_the_listed_files() -> None:
    listed = listed_files("To add a CQL type")
    of_values = {name for name in files_with(ANY_DURATION) if name.startswith(OF_VALUES)}
    assert files_with(DURATION) | of_values == listed
    assert len(listed) <= 5
