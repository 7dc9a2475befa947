"""The public face is typed: with the project's stubs of the driver, and without, as programs see it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = Path(__file__).with_name("face_cases.py")


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
    checked([str(CASES.relative_to(ROOT))], ROOT)


@pytest.mark.timeout(180)
def test_face_is_typed_for_programs_without_stubs_of_the_driver(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(CASES.read_text())
    # What only the driver's types forbid is allowed there.
    checked(["--config-file=", "--no-warn-unused-ignores", program.name], tmp_path)
