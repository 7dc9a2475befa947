"""What one prepared read of one row runs through, file by file: the list in docs/architecture.md.

usage: python -m tests.support.hops

Prints, for each file in the order in which the request comes to it, the functions there that another
file calls. The core is built once more, in ``build/trace``, such that it reports the calls of all its
functions to ``sys.monitoring``; a process reads one row with it from a scripted peer in this one.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.hops_client import Call
from tests.support.native_protocol import Opcode
from tests.support.scripted_peer import Request, ScriptedPeer

__all__ = ["Hops", "build", "hops", "watched_calls"]

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "async_cassandra"
BUILD = ROOT / "build" / "trace"
COLUMNS = [("name", "text")]
LONGEST_BUILD = 900.0
LONGEST_RUN = 60.0

_CLASS = re.compile(r"(?:cdef )?class (\w+)")
_FUNCTION = re.compile(r"\s*(?:async )?(?:def|cdef|cpdef) [^(=]*?(\w+)\(")

# Each file with the functions there that another one calls, both in the order of the first calls.
type Hops = dict[str, list[str]]


class BuildError(Exception):
    """The library was not built; the message is what the compilers said."""


def build() -> Path:
    """Bring the library that reports its calls up to date; return its file."""
    command = [sys.executable, "setup.py", "-q", "build_ext"]
    folders = ["--build-lib", str(BUILD / "lib"), "--build-temp", str(BUILD / "temp")]
    made = subprocess.run(
        [*command, *folders],
        cwd=ROOT,
        env=os.environ | {"TRACE": "1"},
        capture_output=True,
        text=True,
        timeout=LONGEST_BUILD,
    )
    if made.returncode:
        raise BuildError(made.stdout + made.stderr)
    (library,) = (BUILD / "lib" / "async_cassandra").glob(
        f"_compiled.{sys.implementation.cache_tag}*"
    )
    return library


def answer(request: Request) -> None:
    """Answer as a server does that has one user."""
    if request.opcode is Opcode.PREPARE:
        request.reply_prepared(
            b"id", [("id", "int")], COLUMNS, pk_indexes=[0], table=("ks", "users")
        )
    else:
        request.reply_rows(COLUMNS, [("Ada",)], metadata=False)


async def watched_calls(library: Path) -> list[Call]:
    """Run the client's process; return every function that its request passed."""
    async with ScriptedPeer() as peer:
        peer.tables.add_keyspace("ks")
        peer.respond_with(answer)
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.hops_client"),
            *(str(library), peer.host, str(peer.port)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            output, _ = await asyncio.wait_for(client.communicate(), LONGEST_RUN)
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
    assert client.returncode == 0
    return [(file, line, is_hop) for file, line, is_hop in json.loads(output)]


def function_name(source: list[str], line: int) -> str:
    """Return the name of the function that begins there, with its class."""
    own = next(found[1] for text in source[line - 1 :] if (found := _FUNCTION.match(text)))
    if not source[line - 1].startswith(" "):
        return own
    above = (found for text in reversed(source[:line]) if (found := _CLASS.match(text)))
    return f"{next(above)[1]}.{own}"


def hops(calls: list[Call]) -> Hops:
    """Return the functions that one file calls in another."""
    passed: Hops = {}
    for file, line, is_hop in calls:
        if is_hop:
            name = function_name((SOURCE / file).read_text().splitlines(), line)
            passed.setdefault(file, []).append(name)
    return passed


def main() -> None:
    calls = asyncio.run(watched_calls(build()))
    passed = hops(calls)
    for file, functions in passed.items():
        print(f"- `{file}`: {', '.join(f'`{name}`' for name in functions)}")
    files = len(passed)
    print(f"{sum(map(len, passed.values()))} hops in {files} files, {len(calls)} functions in all")


if __name__ == "__main__":
    main()
