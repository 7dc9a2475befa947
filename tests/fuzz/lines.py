"""Which lines of ``.pyx`` and ``.pxd`` files ran, from gcov's counts of the C that Cython made of them.

Cython writes before each statement's C which line it comes from. Left out is what a module does
while it is imported, because it says nothing about inputs.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Lines", "covered_lines"]

_MARKER = re.compile(r'^ */\* "([^"]+\.p[yx][xd])":(\d+)$')
_FUNCTION_EXIT = "/* function exit code */"
_MODULE_INIT = re.compile(r"^static CYTHON_SMALL_CODE int __pyx_pymod_exec_[^;]*$")


@dataclass(slots=True)
class Lines:
    """The lines of one source file that are code, and those of them that ran."""

    code: set[int] = field(default_factory=set)
    ran: set[int] = field(default_factory=set)

    @property
    def missed(self) -> list[int]:
        return sorted(self.code - self.ran)


def origins(c_source: str) -> Iterator[tuple[int, str, int]]:
    """C line, source file and line of the statements in functions."""
    origin: tuple[str, int] | None = None
    in_init = False
    for number, text in enumerate(c_source.splitlines(), 1):
        marker = _MARKER.match(text)
        if marker:
            origin = (marker[1], int(marker[2]))
        elif _MODULE_INIT.match(text):
            in_init = True
        elif text.startswith("}"):
            origin, in_init = None, False
        elif _FUNCTION_EXIT in text:
            origin = None
        if origin is not None and not in_init:
            yield number, *origin


def counts(object_dir: Path, c_file: Path) -> dict[int, int]:
    """How often each line of a C file ran."""
    data = object_dir.resolve() / c_file.with_suffix(".gcda").name
    if not data.exists():
        return {}
    command = ["gcov", "--json-format", "--stdout", str(data)]
    made = subprocess.run(command, capture_output=True, check=True, cwd=object_dir)
    found: dict[int, int] = {}
    for source in json.loads(made.stdout)["files"]:
        if Path(source["file"]).name == c_file.name:
            for line in source["lines"]:
                number = line["line_number"]
                found[number] = max(found.get(number, 0), line["count"])
    return found


def covered_lines(object_dir: Path, c_files: Iterator[Path], package: str) -> dict[str, Lines]:
    """The lines of the sources below ``package``, over all C files that they are part of."""
    lines: dict[str, Lines] = {}
    for c_file in c_files:
        ran = counts(object_dir, c_file)
        for number, source, line in origins(c_file.read_text()):
            if number in ran and package in source:
                found = lines.setdefault(source, Lines())
                found.code.add(line)
                if ran[number]:
                    found.ran.add(line)
    return lines
