"""What an addition costs: the files in which one named thing occurs are those that CONTRIBUTING.md lists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "async_cassandra"


def files_with(word: str) -> set[str]:
    """The files of the package in which a word occurs, by their paths in it."""
    found = re.compile(rf"\b{word}\b")
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", ".pyx", ".pxd", ".pyi") and found.search(path.read_text())
    }


def listed(heading: str) -> str:
    """What CONTRIBUTING.md says under a heading."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return text.partition(f"### {heading}\n")[2].partition("\n### ")[0]


# An option of a call


def test_option_that_goes_into_the_message_is_in_two_files() -> None:
    assert files_with("execute_as") == {"session.py", "_session/calls.py"}


def test_option_that_acts_on_a_request_is_in_five_files() -> None:
    files = files_with("is_stream")
    assert files == {
        "session.py",
        "_session/calls.py",
        "_request/call.pxd",
        "_request/call.pyi",
        "_request/request.pyx",
    }
    text = listed("To add an option of a call")
    assert all(f"`{name}`" in text for name in files if not name.endswith(".pyi"))
