"""The public face is typed: with the project's stubs of the driver, and without, as programs see it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = [Path(__file__).with_name(name) for name in ("face_cases.py", "row_cases.py")]


def checked(arguments: list[str], folder: Path) -> None:
    """Run the type checker.

    :raises AssertionError: with its findings
    """
    pytest.importorskip("mypy", reason="the checker of types is no dependency of the tests")
    shown = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "MYPYPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr


@pytest.mark.timeout(180)
def test_face_has_exact_types() -> None:
    checked([str(path.relative_to(ROOT)) for path in CASES], ROOT)


@pytest.mark.timeout(180)
def test_face_is_typed_for_programs_without_stubs_of_the_driver(tmp_path: Path) -> None:
    for path in CASES:
        (tmp_path / path.name).write_text(path.read_text())
    names = [path.name for path in CASES]
    # What only the driver's types forbid is allowed there.
    checked(["--config-file=", "--no-warn-unused-ignores", *names], tmp_path)


@pytest.mark.timeout(180)
def test_face_has_the_same_types_for_pyright(tmp_path: Path) -> None:
    """As basedpyright carries it: the same checker, with its runtime in the package."""
    pytest.importorskip("basedpyright", reason="the checker of types is no dependency of the tests")
    settings = {
        "include": [str(path) for path in CASES],
        "stubPath": str(ROOT / "typings"),
        "extraPaths": [str(ROOT / "src")],
        "typeCheckingMode": "standard",
        "enableTypeIgnoreComments": True,
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    project = tmp_path / "pyrightconfig.json"
    project.write_text(json.dumps(settings))
    shown = subprocess.run(
        [sys.executable, "-m", "basedpyright", "-p", str(project), "--pythonpath", sys.executable],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
