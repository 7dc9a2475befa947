"""No compiled class ends the process, however it is made and used."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.promise(8),
    pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform == "win32", reason="tries each class in a forked process"),
]

ROOT = Path(__file__).parents[2]


def test_no_compiled_class_ends_the_process() -> None:
    survey = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.class_survey"], cwd=ROOT, capture_output=True, text=True
    )
    assert survey.returncode == 0, survey.stdout + survey.stderr
    assert int(survey.stdout.split()[0]) > 100
