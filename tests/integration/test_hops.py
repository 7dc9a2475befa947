"""The page that says what a request runs through, beside what one did run through."""

import asyncio
import re
import shlex
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.hops import Hops, build, hops, watched_calls

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
COMPILER = shlex.split(sysconfig.get_config_var("CC") or "cl")[0]
NAME = re.compile(r"`([^`]+)`")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1000),
    pytest.mark.skipif(
        sys.version_info < (3, 13),
        reason="compiled functions report their calls from Python 3.13 on",
    ),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"there is no C compiler {COMPILER}"),
    pytest.mark.skipif(find_spec("Cython") is None, reason="Cython is not installed"),
]


def listed_hops() -> Hops:
    """Return what the page's table has."""
    _, _, rest = PAGE.read_text().partition("\n## A request, file by file\n")
    section, _, _ = rest.partition("\n## ")
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {NAME.findall(file)[0]: NAME.findall(functions) for file, functions, _ in rows}


def test_hops_of_a_request_are_those_on_the_page() -> None:
    found = hops(asyncio.run(watched_calls(build())))
    listed = listed_hops()
    assert list(found) == list(listed)
    assert {file: set(functions) for file, functions in found.items()} == {
        file: set(functions) for file, functions in listed.items()
    }
