"""A length or count of 2 GB that is only claimed allocates nothing: with a process that has no such memory."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.promise(8), pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]

# Claims of almost 2 and 4 GB, in many of the places where lengths and counts are.
PROGRAM = """
import resource, sys
from tests.fuzz.corpus import corpus
from tests.fuzz.targets import TARGETS

with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20),) * 2)
runs = 0
for data in corpus()[sys.argv[1]]:
    for at in range(len(data) % 2, min(len(data), 120) - 3, 1 if len(data) < 40 else 5):
        for claim in (b"\\x7f\\xff\\xff\\xff", b"\\xff\\xff\\xff\\x00"):
            TARGETS[sys.argv[1]](data[:at] + claim + data[at + 4 :])
            runs += 1
print(runs)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limit of address space")
@pytest.mark.parametrize("name", ["streams", "responses", "values"])
def test_claimed_lengths_allocate_nothing(name: str) -> None:
    made = subprocess.run(
        [sys.executable, "-c", PROGRAM, name], cwd=ROOT, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    assert int(made.stdout) > 500
