"""Build ``_wire`` with sanitizers and counters, search it for some time, say what was found.

usage: python -m tests.fuzz [--seconds N] [--seed N] [TARGET ...]
       python -m tests.fuzz --replay FILE_OR_HEX TARGET

Needs gcc and gcov. The build is kept in ``build/fuzz``, apart from the one that tests use; inputs
that were found are in ``build/fuzz/corpus``, and the next search begins with them too.
"""

import argparse
import datetime
import json
import os
import random
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.lines import Lines, covered_lines

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
BUILD = ROOT / "build" / "fuzz"
EDGES = BUILD / "edges.so"
FIGURE = ROOT / "build" / "figures" / "fuzz.json"
WANTED_PERCENT = 95.0
NAMES = (
    "streams",
    "responses",
    "values",
    "parameters",
    "requests",
    "parts",
    "objects",
    "encrypted",
)

# No report is not a leak report: the interpreter itself leaves memory behind when it ends. Larger
# allocations than this fail, and a MemoryError is a finding.
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=0:max_allocation_size_mb=256:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "PYTHONMALLOC": "malloc",
}


def gcc_library(name: str) -> str:
    found = subprocess.run(
        ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def build() -> None:
    """Bring the instrumented build up to date."""
    BUILD.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "setup.py", "-q", "build_ext"]
    # Whatever is imported of the library, _driver is loaded first.
    switches = {"SANITIZE": "1", "COVERAGE": "1", "PARTS": "_[dw]*"}
    print("Building _wire with sanitizers and counters", flush=True)
    with (BUILD / "build.log").open("w") as log:
        made = subprocess.run(
            [*command, "--build-lib", str(BUILD / "lib"), "--build-temp", str(BUILD / "temp")],
            cwd=ROOT,
            env=os.environ | switches,
            stdout=log,
            stderr=log,
        )
    if made.returncode:
        sys.exit((BUILD / "build.log").read_text())
    for path in SOURCE.rglob("*.py"):
        copied = BUILD / "lib" / path.relative_to(SOURCE)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copied)
    edges = ["gcc", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*edges, "-o", EDGES, Path(__file__).with_name("edges.c")], check=True)
    for counted in (BUILD / "temp").rglob("*.gcda"):
        counted.unlink()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one target's search ended.

    :ivar figures: what it counted; empty if it broke off
    :ivar output: what it printed
    :ivar data: the input that broke it off
    """

    name: str
    figures: dict[str, float]
    output: str = ""
    data: bytes = b""


def search(name: str, seed: int, seconds: float, inputs: list[Path]) -> Outcome:
    """Run one target in a process of its own."""
    current = BUILD / f"{name}.current"
    environment = os.environ | SANITIZERS
    environment["PYTHONPATH"] = os.pathsep.join((str(BUILD / "lib"), str(ROOT)))
    environment["LD_PRELOAD"] = " ".join(map(gcc_library, ("libasan.so", "libubsan.so")))
    command = [sys.executable, "-m", "tests.fuzz.child", name, str(EDGES), str(current)]
    child = subprocess.run(
        [*command, str(seed), str(seconds), str(BUILD / "corpus" / name), *map(str, inputs)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if child.returncode == 0:
        return Outcome(name, json.loads(child.stdout))
    kept = current.read_bytes() if current.exists() else bytes(8)
    data = kept[8 : 8 + int.from_bytes(kept[:8])]
    output = f"{child.stdout}{child.stderr}\nended with status {child.returncode}"
    return Outcome(name, {}, output, data)


def report_finding(outcome: Outcome) -> None:
    findings = BUILD / "findings"
    findings.mkdir(exist_ok=True)
    path = findings / f"{outcome.name}-{len(list(findings.iterdir()))}.bin"
    path.write_bytes(outcome.data)
    print(outcome.output)
    print(f"{outcome.name}: FAILED; the input is {path.relative_to(ROOT)}, in hex:")
    print(outcome.data.hex())
    print(f"again: python -m tests.fuzz --replay {path.relative_to(ROOT)} {outcome.name}")


def coverage() -> dict[str, Lines]:
    modules = sorted((SOURCE / "async_cassandra" / "_wire").glob("*.pyx"))
    made = next(ROOT.glob("build/*-SANITIZE-COVERAGE"))
    c_files = (made / "c" / path.relative_to(ROOT).with_suffix(".c") for path in modules)
    objects = BUILD / "temp" / made.relative_to(ROOT) / "c/src/async_cassandra/_wire"
    return covered_lines(objects, c_files, "async_cassandra/_wire/")


def report_coverage(lines: dict[str, Lines]) -> float:
    """Print the lines of each file that ran; return the percentage of all."""
    for source, found in sorted(lines.items()):
        missed = ", ".join(map(str, found.missed))
        print(
            f"{len(found.ran):5} of {len(found.code):4} lines of {source}  missed: {missed or '-'}"
        )
    code = sum(len(found.code) for found in lines.values())
    ran = sum(len(found.ran) for found in lines.values())
    return 100 * ran / code


def write_figure(outcomes: list[Outcome], percent: float, seconds: float, seed: int) -> None:
    inputs = sum(int(outcome.figures.get("inputs", 0)) for outcome in outcomes)
    failed = sum(not outcome.figures for outcome in outcomes)
    figure = (
        f"{inputs} inputs in {seconds:.0f} s, seed {seed}, ASAN and UBSAN: {failed} findings; "
        f"{percent:.1f} % of _wire's lines run"
    )
    line: dict[str, Any] = {
        "item": "8",
        "test": "make fuzz",
        "figure": figure,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    FIGURE.write_text(json.dumps(line) + "\n")
    print(figure)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *NAMES])
    parser.add_argument("--seconds", type=float, default=180.0, help="for all targets together")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--replay", help="a file, or hexadecimal digits, to run instead")
    options = parser.parse_args()
    targets = options.targets or list(NAMES)
    build()
    inputs: list[Path] = []
    if options.replay:
        given = Path(options.replay)
        if not given.exists():
            given = BUILD / "replay.bin"
            given.write_bytes(bytes.fromhex(options.replay))
        inputs = [given]
    print(
        f"Searching {', '.join(targets)}: {options.seconds:.0f} s, seed {options.seed}", flush=True
    )
    started = time.monotonic()
    jobs = min(len(targets), os.cpu_count() or 1)
    each = options.seconds * jobs / len(targets)
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(lambda name: search(name, options.seed, each, inputs), targets))
    for outcome in outcomes:
        if outcome.figures:
            print(f"{outcome.name:10}", json.dumps(outcome.figures))
        else:
            report_finding(outcome)
    if options.replay:
        return int(any(not outcome.figures for outcome in outcomes))
    percent = report_coverage(coverage())
    if targets == list(NAMES):
        write_figure(outcomes, percent, time.monotonic() - started, options.seed)
    complete = targets != list(NAMES) or percent >= WANTED_PERCENT
    return int(not complete or any(not outcome.figures for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
