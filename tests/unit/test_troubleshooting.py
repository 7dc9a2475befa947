"""The page on troubleshooting quotes messages that the library has, and knows every exception."""

import re
from collections.abc import Iterator
from pathlib import Path

from async_cassandra import exceptions

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
# What the server says, in its own words.
FOREIGN = {"Invalid amount of bind variables"}


def quoted_messages() -> Iterator[str]:
    """The messages in the columns of that name."""
    column = None
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if not line.startswith("|"):
            column = None
        elif column is None:
            column = cells.index("message") if "message" in cells else 0
        elif column:
            yield from re.findall(r"`([^`]+)`", cells[column])


def source_text() -> str:
    """The source with adjacent literals joined and ``…`` for what is filled in."""
    paths = [*ROOT.glob("src/**/*.py"), *ROOT.glob("src/**/*.pyx")]
    text = "\n".join(path.read_text() for path in paths)
    text = re.sub(r"\"\s*\n\s*f?\"", "", text)
    return re.sub(r"\{[^{}]*\}|%s", "…", text)


def test_messages_on_the_page_are_those_of_the_library() -> None:
    source = source_text()
    messages = set(quoted_messages()) - FOREIGN
    assert len(messages) > 50
    missing = {
        message: part
        for message in messages
        for part in (piece.strip() for piece in message.split("…"))
        if part not in source
    }
    assert missing == {}


def test_every_exception_is_on_the_page() -> None:
    """Those that repeat a server's error stand in a table of their own."""
    pages = PAGE + (ROOT / "docs" / "api.md").read_text()
    assert [name for name in exceptions.__all__ if f"`{name}`" not in pages] == []
