"""Build the compiled core.

Switches, read from the environment:
``DEBUG=1`` keeps symbols and assertions, ``SANITIZE=1`` adds ASAN and UBSAN, ``COVERAGE=1`` counts
lines for gcov and calls ``__sanitizer_cov_trace_pc`` at each branch, ``PARTS=_wire`` builds one package
only. SANITIZE and COVERAGE need gcc, and what they build runs inside ``tests/fuzz`` only.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCE = Path("src")
COLD = SOURCE / "async_cassandra" / "_wire" / "cold.h"
DEBUG = bool(os.environ.get("DEBUG"))
SANITIZE = bool(os.environ.get("SANITIZE"))
COVERAGE = bool(os.environ.get("COVERAGE"))
PARTS = os.environ.get("PARTS", "*")

compile_args: list[str] = []
link_args: list[str] = []
if os.name != "nt":
    compile_args += ["-O0", "-g"] if DEBUG else ["-O2", "-g0"]
    compile_args += ["-fno-strict-aliasing", "-Wno-unused-function"]
    compile_args += ["-include", str(COLD)]
if sys.platform == "linux":
    # A call into Python's own code takes one jump, and no stub with a line of the instruction cache.
    compile_args += ["-fno-plt"]
if SANITIZE:
    flags = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-g1"]
    compile_args += flags
    link_args += flags
if COVERAGE:
    compile_args += ["-O0", "--coverage", "-fsanitize-coverage=trace-pc"]
    link_args += ["--coverage"]

extensions = [
    Extension(
        ".".join(path.relative_to(SOURCE).with_suffix("").parts),
        [str(path)],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        depends=[str(COLD)],
    )
    for path in sorted(SOURCE.glob(f"*/{PARTS}/*.pyx"))
]

setup(
    ext_modules=cythonize(
        extensions,
        include_path=[str(SOURCE)],
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "embedsignature": True,
        },
    ),
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
